"""Word to the hosts that NICs have other addresses."""

from __future__ import annotations

from alembic import op

revision = "0030"
down_revision = "0021"

# It goes out at the commit, and once for many changes in one transaction.
WORD = """
CREATE FUNCTION nics_changed() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_notify('nics', '');
    RETURN NULL;
END $$;
CREATE TRIGGER changed AFTER DELETE OR UPDATE OF ip, ip6 ON nics
    FOR EACH STATEMENT EXECUTE FUNCTION nics_changed();
"""


def upgrade() -> None:
    """Make the trigger."""
    op.execute(WORD.replace(":", r"\:"))


def downgrade() -> None:
    """Remove it."""
    op.execute("DROP TRIGGER changed ON nics")
    op.execute("DROP FUNCTION nics_changed")
