"""A machine goes to another owner, who has been offered it and accepts."""

from __future__ import annotations

from alembic import op

revision = "0100"
down_revision = "0086"

# to_owner is null of one who has no owner yet: whose name that would be makes it by accepting. An owner that
# is made later under the name of one that ended gets nothing.
TABLE = """
CREATE TABLE machine_offers (
    machine_id integer PRIMARY KEY REFERENCES machines ON DELETE CASCADE,
    name text COLLATE "C" NOT NULL CONSTRAINT offer_name CHECK (length(name) BETWEEN 1 AND 255),
    to_owner integer REFERENCES owners ON DELETE CASCADE,
    principal principal NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX machine_offers_name ON machine_offers (name);
CREATE INDEX machine_offers_to_owner ON machine_offers (to_owner);
COMMENT ON TABLE machine_offers IS 'machines that are to be another owner''s, once that one accepts';
COMMENT ON COLUMN machine_offers.principal IS 'who offers it, and must be able to when it is accepted';
CREATE VIEW offers AS
SELECT o.machine_id, m.name::text AS machine, m.memory, o.name AS to_name, o.to_owner, o.principal::text AS principal, o.at
FROM machine_offers o JOIN machines m USING (machine_id)
WHERE EXISTS (SELECT FROM access a
    WHERE a.machine_id = o.machine_id AND a.principal = o.principal AND a.role <> 'user');
COMMENT ON VIEW offers IS 'those that count: whoever made one may still do all to the machine';
GRANT SELECT, INSERT, DELETE, UPDATE ON machine_offers TO invirt_remote;
GRANT SELECT ON offers TO invirt_remote, invirt_web;
"""

# What its owner gave to others ends with the owner; what is in the trash stays that owner's.
RULE = """
CREATE FUNCTION hand_over() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    IF NEW.owner_id <> OLD.owner_id THEN
        DELETE FROM machine_offers WHERE machine_id = NEW.machine_id;
        DELETE FROM machine_access WHERE machine_id = NEW.machine_id;
        DELETE FROM console_looks WHERE machine_id = NEW.machine_id;
        DELETE FROM api_token_machines t USING api_tokens a WHERE t.machine_id = NEW.machine_id
            AND t.token_id = a.token_id AND NOT EXISTS (SELECT FROM members x
                WHERE x.owner_id = NEW.owner_id AND x.principal = a.principal);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER hand_over AFTER UPDATE OF owner_id ON machines FOR EACH ROW EXECUTE FUNCTION hand_over();
REVOKE EXECUTE ON FUNCTION hand_over FROM PUBLIC;
"""


def upgrade() -> None:
    """Nothing is offered."""
    for part in (TABLE, RULE):
        op.execute(part.replace(":", r"\:"))


def downgrade() -> None:
    """What was offered stays where it is."""
    op.execute("DROP TRIGGER hand_over ON machines")
    op.execute("DROP FUNCTION hand_over()")
    op.execute("DROP VIEW offers")
    op.execute("DROP TABLE machine_offers")
