"""Word of operations, at each step, to those who follow them."""

from __future__ import annotations

from alembic import op

revision = "0059"
down_revision = "0058"

# Word goes out at the commit.  Leases come and go without any.
WORD = """
CREATE FUNCTION tell_of_operation() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_notify('operations', NEW.operation_id::text);
    RETURN NULL;
END $$;
CREATE TRIGGER told AFTER INSERT OR UPDATE OF state, error ON operations
    FOR EACH ROW EXECUTE FUNCTION tell_of_operation();
CREATE TRIGGER told AFTER UPDATE OF state ON operation_steps
    FOR EACH ROW EXECUTE FUNCTION tell_of_operation();
REVOKE EXECUTE ON FUNCTION tell_of_operation FROM PUBLIC;
"""


def upgrade() -> None:
    """Make the triggers."""
    op.execute(WORD.replace(":", r"\:"))


def downgrade() -> None:
    """Remove them."""
    op.execute("DROP TRIGGER told ON operations")
    op.execute("DROP TRIGGER told ON operation_steps")
    op.execute("DROP FUNCTION tell_of_operation")
