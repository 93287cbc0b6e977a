"""Who offered a machine is told, too, when it is declined."""

from __future__ import annotations

from alembic import op

revision = "0136"
down_revision = "0133"

KINDS = "'asked', 'granted', 'refused', 'offered', 'accepted'"
NARROW = f"ALTER TABLE mails ADD CONSTRAINT mail_kind CHECK (kind IN ({KINDS}))"
WIDE = f"ALTER TABLE mails ADD CONSTRAINT mail_kind CHECK (kind IN ({KINDS}, 'declined'))"

# Of an offer that is gone no trigger knows why: who offered may have withdrawn it.
DECLINE = """
CREATE FUNCTION decline_offer(machine integer, declining principal) RETURNS void LANGUAGE sql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
    WITH gone AS (DELETE FROM machine_offers WHERE machine_id = machine RETURNING machine_id, name, principal)
    SELECT write_mail('declined', g.principal, declining, g.name, m.name, NULL, '')
    FROM gone g JOIN machines m USING (machine_id)
$$;
COMMENT ON FUNCTION decline_offer IS 'ends an offer; who made it is told';
REVOKE EXECUTE ON FUNCTION decline_offer FROM PUBLIC;
GRANT EXECUTE ON FUNCTION decline_offer TO invirt_remote;
"""


def upgrade() -> None:
    """Remote servers of the version before decline without a word."""
    op.execute("ALTER TABLE mails DROP CONSTRAINT mail_kind")
    op.execute(WIDE)
    op.execute(DECLINE)


def downgrade() -> None:
    """Who waits for such a mail waits in vain."""
    op.execute("DROP FUNCTION decline_offer(integer, principal)")
    op.execute("ALTER TABLE mails DROP CONSTRAINT mail_kind")
    op.execute("DELETE FROM mails WHERE kind = 'declined'")
    op.execute(NARROW)
