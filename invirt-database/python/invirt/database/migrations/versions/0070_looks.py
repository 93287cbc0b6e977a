"""Looks: links by which people see a machine's console for a while, and type nothing; the hashes of what is in them."""

from __future__ import annotations

from alembic import op

revision = "0070"
down_revision = "0069"

TABLE = r"""
CREATE TABLE console_looks (
    look_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    machine_id integer NOT NULL REFERENCES machines ON DELETE CASCADE,
    principal principal NOT NULL,
    hash bytea NOT NULL CONSTRAINT console_looks_hash_key UNIQUE CONSTRAINT look_hash CHECK (length(hash) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    ends_at timestamptz NOT NULL DEFAULT now() + interval '1 hour',
    CONSTRAINT look_lasts CHECK (ends_at <= created_at + interval '1 hour')
);
COMMENT ON TABLE console_looks IS 'principal: who made it, and must be able to, as long as it is to be of use';
CREATE INDEX console_looks_machine_id ON console_looks (machine_id);
CREATE TRIGGER bound AFTER INSERT OR UPDATE OF machine_id ON console_looks FOR EACH ROW
    EXECUTE FUNCTION bound('machine_id', 10, 'a machine is shared by at most %s looks', 'End one first.', 'machines');
CREATE VIEW looks AS SELECT look_id, machine_id, principal::text AS principal, created_at, ends_at
    FROM console_looks WHERE ends_at > now();
COMMENT ON VIEW looks IS 'those that have not ended; no hash';
GRANT SELECT ON looks TO invirt_remote, invirt_web;
"""

# Made and ended by these alone.  Who has a look's hash is told what it shows, while its maker may do all to the machine.
FUNCTIONS = """
CREATE FUNCTION add_look(acting principal, machine integer, hash bytea, via principal DEFAULT NULL)
    RETURNS TABLE (look_id bigint, ends_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    made console_looks;
BEGIN
    DELETE FROM console_looks l WHERE l.machine_id = machine AND l.ends_at <= now();
    INSERT INTO console_looks (machine_id, principal, hash) VALUES (machine, acting, $3) RETURNING * INTO made;
    INSERT INTO audit (principal, via, command, arguments, outcome)
        VALUES (acting, $4, 'add_look', made.look_id::text, 'succeeded');
    RETURN QUERY SELECT made.look_id, made.ends_at;
END $$;
CREATE FUNCTION end_looks(acting principal, machine integer, one bigint, via principal DEFAULT NULL)
    RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH gone AS (DELETE FROM console_looks WHERE machine_id = machine AND look_id = coalesce(one, look_id)
        RETURNING look_id, ends_at),
    said AS (INSERT INTO audit (principal, via, command, arguments, outcome)
        SELECT acting, $4, 'end_looks', gone.look_id::text, 'succeeded' FROM gone)
    SELECT count(*) FROM gone WHERE ends_at > now()
$$;
COMMENT ON FUNCTION end_looks IS 'how many have ended; one: of that number alone';
CREATE FUNCTION web.look(hash bytea) RETURNS TABLE (look_id bigint, machine_id integer, seconds double precision)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT l.look_id, l.machine_id, extract(epoch FROM l.ends_at - now())::double precision FROM console_looks l
    WHERE l.hash = $1 AND l.ends_at > now() AND EXISTS (SELECT FROM access a
        WHERE a.machine_id = l.machine_id AND a.principal = l.principal AND a.role <> 'user')
$$;
COMMENT ON FUNCTION web.look IS 'what a look shows, and for how long yet';
REVOKE EXECUTE ON FUNCTION add_look, end_looks, web.look FROM PUBLIC;
GRANT EXECUTE ON FUNCTION add_look, end_looks TO invirt_remote;
GRANT EXECUTE ON FUNCTION web.look TO invirt_web;
"""


def upgrade() -> None:
    """Make them."""
    for part in (TABLE, FUNCTIONS):
        op.execute(part.replace(":", r"\:"))


def downgrade() -> None:
    """Remove them: no link shows anything any more."""
    for function in ("web.look", "end_looks", "add_look"):
        op.execute(f"DROP FUNCTION {function}")
    op.execute("DROP VIEW looks")
    op.execute("DROP TABLE console_looks")
