"""Word to the hosts of new NICs, too: they are plugged into machines that run."""

from __future__ import annotations

from alembic import op

revision = "0063"
down_revision = "0062"

TRIGGER = """
CREATE OR REPLACE TRIGGER changed AFTER {events} ON nics FOR EACH STATEMENT EXECUTE FUNCTION nics_changed()
"""


def upgrade() -> None:
    """As of what is changed or deleted."""
    op.execute(TRIGGER.format(events="INSERT OR DELETE OR UPDATE OF ip, ip6"))


def downgrade() -> None:
    """Of those alone."""
    op.execute(TRIGGER.format(events="DELETE OR UPDATE OF ip, ip6"))
