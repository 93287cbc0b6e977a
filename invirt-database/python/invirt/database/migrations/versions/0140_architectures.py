"""A system that can be installed says what it is made for; hosts of this version boot one architecture alone."""

from __future__ import annotations

from alembic import op

revision = "0140"
down_revision = "0136"

COLUMN = """
ALTER TABLE autoinstalls ADD COLUMN architecture text NOT NULL DEFAULT 'amd64' CONSTRAINT autoinstall_architecture
    CHECK (architecture = 'amd64');
COMMENT ON COLUMN autoinstalls.architecture IS 'what its base is made for, as Debian calls it';
"""


def upgrade() -> None:
    """All that there were are of this one."""
    op.execute(COLUMN)


def downgrade() -> None:
    """As it went without saying."""
    op.execute("ALTER TABLE autoinstalls DROP COLUMN architecture")
