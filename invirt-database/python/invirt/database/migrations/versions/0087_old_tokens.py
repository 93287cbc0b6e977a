"""A host that was lost, and wakes, learns which commands are too old for it."""

from __future__ import annotations

from alembic import op

revision = "0087"
down_revision = "0100"


def upgrade() -> None:
    """It may know how many there were."""
    op.execute("GRANT SELECT ON SEQUENCE operation_token TO invirt_host")


def downgrade() -> None:
    """The version before doesn't ask."""
    op.execute("REVOKE SELECT ON SEQUENCE operation_token FROM invirt_host")
