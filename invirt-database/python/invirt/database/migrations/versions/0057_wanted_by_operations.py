"""What a machine's owner wants is read from operations, whichever version of the remote server writes them."""

from __future__ import annotations

from alembic import op

revision = "0057"
down_revision = "0056"

WORD = """
CREATE FUNCTION owners_word() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE machines SET wanted_on = NEW.kind = 'boot', why_off = '' WHERE machine_id = NEW.machine_id;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION owners_word IS 'off counts when it is said, on when the guest is up';
CREATE TRIGGER wanted_off AFTER INSERT ON operations FOR EACH ROW
    WHEN (NEW.kind IN ('shutdown', 'destroy')) EXECUTE FUNCTION owners_word();
CREATE TRIGGER wanted_on AFTER UPDATE OF state ON operations FOR EACH ROW
    WHEN (NEW.kind = 'boot' AND NEW.state = 'done') EXECUTE FUNCTION owners_word();
UPDATE machines m SET wanted_on = false WHERE EXISTS (SELECT FROM operations o
    WHERE o.machine_id = m.machine_id AND o.kind IN ('boot', 'shutdown', 'destroy')
    AND o.state IN ('running', 'undoing', 'stuck'));
"""


def upgrade() -> None:
    """What is under way now counts, too: a boot that comes to its end will say so."""
    op.execute(WORD)


def downgrade() -> None:
    """Remove them."""
    for trigger in ("wanted_off", "wanted_on"):
        op.execute(f"DROP TRIGGER {trigger} ON operations")
    op.execute("DROP FUNCTION owners_word()")
