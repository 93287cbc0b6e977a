"""Tokens, by which programs do for a user at the web server's API: their hashes, scopes and ends."""

from __future__ import annotations

from alembic import op

revision = "0069"
down_revision = "0068"

# A scope is of machines' numbers, and goes with them: a name that comes again is in none.
TABLES = r"""
CREATE TABLE api_tokens (
    token_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    principal principal NOT NULL
        CONSTRAINT person CHECK (NOT (principal ~* '^host/' OR principal ~ '/[^@]*\.')),
    name short_name NOT NULL,
    hash bytea NOT NULL CONSTRAINT api_tokens_hash_key UNIQUE CONSTRAINT token_hash CHECK (length(hash) = 32),
    writes boolean NOT NULL,
    scoped boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    ends_at timestamptz NOT NULL,
    CONSTRAINT token_lasts CHECK (ends_at > created_at AND ends_at <= created_at + interval '366 days'),
    CONSTRAINT api_tokens_name_key UNIQUE (principal, name)
);
COMMENT ON TABLE api_tokens IS 'SHA-256 of each; scoped: for those of api_token_machines alone, which may be none';
CREATE TABLE api_token_machines (
    token_id bigint REFERENCES api_tokens ON DELETE CASCADE,
    machine_id integer REFERENCES machines ON DELETE CASCADE,
    PRIMARY KEY (token_id, machine_id)
);
CREATE INDEX api_token_machines_machine_id ON api_token_machines (machine_id);
CREATE TRIGGER bound AFTER INSERT OR UPDATE OF principal ON api_tokens FOR EACH ROW
    EXECUTE FUNCTION bound('principal', 20, 'a principal has at most %s tokens', 'End one first.', '');
CREATE TRIGGER bound AFTER INSERT OR UPDATE OF token_id ON api_token_machines FOR EACH ROW
    EXECUTE FUNCTION bound('token_id', 100, 'a token is for at most %s machines', 'Make two.', 'api_tokens');
"""

VIEW = """
CREATE VIEW tokens AS SELECT t.token_id, t.principal::text AS principal, t.name::text AS name, t.writes, t.scoped,
    ARRAY(SELECT m.name::text FROM api_token_machines x JOIN machines m USING (machine_id)
        WHERE x.token_id = t.token_id ORDER BY m.name) AS machines, t.created_at, t.ends_at
    FROM api_tokens t WHERE t.ends_at > now();
COMMENT ON VIEW tokens IS 'those that have not ended; no hash';
GRANT SELECT ON tokens TO invirt_remote, invirt_web;
"""

# The acting principal's, and nobody's but by these.  Who has a token's hash is told whose it is.
FUNCTIONS = """
CREATE FUNCTION add_token(acting principal, called text, hash bytea, writes boolean, machines integer[],
    days integer, via principal DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    made bigint;
BEGIN
    DELETE FROM api_tokens t WHERE t.principal = acting AND t.ends_at <= now();
    INSERT INTO api_tokens (principal, name, hash, writes, scoped, ends_at)
        VALUES (acting, called, $3, $4, $5 IS NOT NULL, now() + days * interval '1 day')
        RETURNING token_id INTO made;
    INSERT INTO api_token_machines SELECT DISTINCT made, unnest($5);
    INSERT INTO audit (principal, via, command, arguments, outcome)
        VALUES (acting, $7, 'add_token', called, 'succeeded');
END $$;
COMMENT ON FUNCTION add_token IS 'machines: their numbers, or null for all';
CREATE FUNCTION remove_token(acting principal, called text, via principal DEFAULT NULL) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH gone AS (DELETE FROM api_tokens t WHERE t.principal = acting AND t.name = called RETURNING t.name)
    INSERT INTO audit (principal, via, command, arguments, outcome)
        SELECT acting, $3, 'remove_token', gone.name, 'succeeded' FROM gone RETURNING true
$$;
COMMENT ON FUNCTION remove_token IS 'null: the principal has no such token';
CREATE FUNCTION web.token(hash bytea) RETURNS TABLE (principal text, name text, writes boolean, machines integer[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT t.principal::text, t.name::text, t.writes, CASE WHEN t.scoped THEN
        ARRAY(SELECT x.machine_id FROM api_token_machines x WHERE x.token_id = t.token_id) END
    FROM api_tokens t WHERE t.hash = $1 AND t.ends_at > now()
$$;
COMMENT ON FUNCTION web.token IS 'whose token it is, if it has not ended; machines: those it is for, null: all';
REVOKE EXECUTE ON FUNCTION add_token, remove_token, web.token FROM PUBLIC;
GRANT EXECUTE ON FUNCTION add_token, remove_token TO invirt_remote;
GRANT EXECUTE ON FUNCTION web.token TO invirt_web;
"""


def upgrade() -> None:
    """Make them."""
    for part in (TABLES, VIEW, FUNCTIONS):
        op.execute(part.replace(":", r"\:"))


def downgrade() -> None:
    """Remove them: no token opens anything any more."""
    for function in ("web.token", "remove_token", "add_token"):
        op.execute(f"DROP FUNCTION {function}")
    op.execute("DROP VIEW tokens")
    op.execute("DROP TABLE api_token_machines")
    op.execute("DROP TABLE api_tokens")
