"""Machines of one owner that are not to be on one host."""

from __future__ import annotations

from alembic import op

revision = "0083"
down_revision = "0082"

# A pair is one row.  Both have its owner, as long as it is there: with another owner the pair ends.
TABLE = """
ALTER TABLE machines ADD CONSTRAINT machines_owned UNIQUE (machine_id, owner_id);
CREATE TABLE apart (
    machine_id integer NOT NULL,
    other_id integer NOT NULL,
    owner_id integer NOT NULL,
    PRIMARY KEY (machine_id, other_id),
    CONSTRAINT apart_order CHECK (machine_id < other_id),
    CONSTRAINT apart_one_owner FOREIGN KEY (machine_id, owner_id) REFERENCES machines (machine_id, owner_id)
        ON DELETE CASCADE,
    CONSTRAINT apart_one_owner_too FOREIGN KEY (other_id, owner_id) REFERENCES machines (machine_id, owner_id)
        ON DELETE CASCADE
);
CREATE INDEX apart_other_id ON apart (other_id);
COMMENT ON TABLE apart IS 'two machines of one owner that are not to be on one host';
CREATE VIEW kept_apart AS SELECT machine_id, other_id FROM apart UNION ALL SELECT other_id, machine_id FROM apart;
COMMENT ON VIEW kept_apart IS 'the same, each pair from both sides';
CREATE VIEW web.apart AS SELECT k.machine_id, m.name::text AS name
    FROM kept_apart k JOIN machines m ON m.machine_id = k.other_id;
GRANT SELECT, INSERT, DELETE ON apart TO invirt_remote;
GRANT SELECT ON kept_apart TO invirt_remote;
GRANT SELECT ON web.apart TO invirt_web;
"""
RULES = """
CREATE FUNCTION end_apart() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    DELETE FROM apart a WHERE NEW.owner_id <> OLD.owner_id AND NEW.machine_id IN (a.machine_id, a.other_id);
    RETURN NEW;
END $$;
CREATE TRIGGER end_apart BEFORE UPDATE OF owner_id ON machines FOR EACH ROW EXECUTE FUNCTION end_apart();

CREATE FUNCTION check_apart() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    named text;
BEGIN
    -- Two that are booted at once wait here for each other: each sees what the other has reserved.
    UPDATE hosts h SET memory = h.memory WHERE h.host_id = NEW.host_id;
    SELECT m.name INTO named FROM machines m WHERE m.machine_id = NEW.machine_id AND EXISTS (
        SELECT FROM kept_apart k JOIN reservations r ON r.machine_id = k.other_id
        WHERE k.machine_id = NEW.machine_id AND r.host_id = NEW.host_id);
    IF named IS NOT NULL THEN
        RAISE EXCEPTION 'the host % runs a machine that % is kept apart from',
            (SELECT h.name FROM hosts h WHERE h.host_id = NEW.host_id), named
            USING CONSTRAINT = 'no_room', HINT = 'Try again.';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER stay_apart AFTER INSERT OR UPDATE OF host_id ON reservations
    FOR EACH ROW EXECUTE FUNCTION check_apart();
REVOKE EXECUTE ON FUNCTION end_apart, check_apart FROM PUBLIC;
"""


def upgrade() -> None:
    """Nothing is kept apart yet."""
    for part in (TABLE, RULES):
        op.execute(part.replace(":", r"\:"))


def downgrade() -> None:
    """All may be on one host."""
    op.execute("DROP TRIGGER stay_apart ON reservations")
    op.execute("DROP TRIGGER end_apart ON machines")
    op.execute("DROP FUNCTION end_apart, check_apart")
    op.execute("DROP VIEW web.apart, kept_apart")
    op.execute("DROP TABLE apart")
    op.execute("ALTER TABLE machines DROP CONSTRAINT machines_owned")
