"""Word to the service that an operation is left to it from its beginning."""

from __future__ import annotations

from alembic import op

revision = "0058"
down_revision = "0057"

WORD = """
CREATE FUNCTION tell_of_left_over() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_notify('left_over', '');
    RETURN NULL;
END $$;
CREATE TRIGGER left_over AFTER INSERT ON operations
    FOR EACH ROW WHEN (NEW.lease_holder IS NULL) EXECUTE FUNCTION tell_of_left_over();
REVOKE EXECUTE ON FUNCTION tell_of_left_over FROM PUBLIC;
"""


def upgrade() -> None:
    """Make the trigger; word goes out at the commit."""
    op.execute(WORD.replace(":", r"\:"))


def downgrade() -> None:
    """Remove it."""
    op.execute("DROP TRIGGER left_over ON operations")
    op.execute("DROP FUNCTION tell_of_left_over")
