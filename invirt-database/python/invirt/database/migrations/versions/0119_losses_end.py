"""That a machine's host was lost is told until it is switched off: by a trigger of its own."""

from __future__ import annotations

from alembic import op

revision = "0119"
down_revision = "0102"

ENDS = """
CREATE FUNCTION loss_ends() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE machines SET lost_at = NULL, lost_host = NULL
        WHERE machine_id = NEW.machine_id AND lost_at IS NOT NULL;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION loss_ends IS 'what befell a machine before is of no interest once it is switched off';
CREATE TRIGGER loss_ends AFTER INSERT ON operations FOR EACH ROW
    WHEN (NEW.kind IN ('shutdown', 'destroy')) EXECUTE FUNCTION loss_ends();
REVOKE EXECUTE ON FUNCTION loss_ends() FROM PUBLIC;
"""


def upgrade() -> None:
    """Whatever else is read from its owner's word."""
    op.execute(ENDS.replace(":", r"\:"))


def downgrade() -> None:
    """Remove it."""
    op.execute("DROP TRIGGER loss_ends ON operations")
    op.execute("DROP FUNCTION loss_ends()")
