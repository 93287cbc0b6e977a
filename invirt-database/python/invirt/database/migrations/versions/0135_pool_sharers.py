"""How many hosts see a pool, which each of them may know: a plain volume group must be one host's own."""

from __future__ import annotations

from alembic import op

revision = "0135"
down_revision = "0123"

# Hosts see their own rows alone.
COUNT = """
CREATE FUNCTION pool_sharers(pool integer) RETURNS integer LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = public, pg_temp AS
    'SELECT count(*)::integer FROM pool_sight WHERE pool_id = pool';
COMMENT ON FUNCTION pool_sharers IS 'how many hosts see that pool';
REVOKE EXECUTE ON FUNCTION pool_sharers FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pool_sharers TO invirt_host;
"""


def upgrade() -> None:
    """A number alone: which hosts these are is not theirs to know."""
    op.execute(COUNT.replace(":", r"\:"))


def downgrade() -> None:
    """Hosts take each pool for one that may be shared again."""
    op.execute("DROP FUNCTION pool_sharers")
