"""Pools of storage: where disks lie, and which hosts see that."""

from __future__ import annotations

from alembic import op

revision = "0065"
down_revision = "0064"

TABLES = r"""
CREATE TABLE pools (
    pool_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name short_name NOT NULL CONSTRAINT pools_name_key UNIQUE,
    driver text CONSTRAINT pool_driver CHECK (driver IN ('lvm', 'file', 'fake')),
    place text CONSTRAINT pool_place CHECK (CASE driver
        WHEN 'lvm' THEN place ~ '^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,126}$'
        ELSE place ~ '^(/\.?[A-Za-z0-9_+-][A-Za-z0-9._+-]*)+$' AND length(place) <= 255 END),
    everywhere boolean NOT NULL DEFAULT true,
    CONSTRAINT pool_whole CHECK ((driver IS NULL) = (place IS NULL))
);
COMMENT ON TABLE pools IS 'where disks lie; the oldest is the one that is meant where none is named';
COMMENT ON COLUMN pools.driver IS 'null until it is known from invirt.yaml, by which the first pool is made';
COMMENT ON COLUMN pools.place IS 'a volume group, or a folder';
COMMENT ON COLUMN pools.everywhere IS 'all hosts see it, not only those of pool_hosts';
INSERT INTO pools (name) VALUES ('default');
CREATE TABLE pool_hosts (
    pool_id integer NOT NULL REFERENCES pools ON DELETE CASCADE,
    host_id integer NOT NULL REFERENCES hosts ON DELETE CASCADE,
    PRIMARY KEY (pool_id, host_id)
);
COMMENT ON TABLE pool_hosts IS 'the hosts that see a pool which is not everywhere';
CREATE INDEX pool_hosts_host_id ON pool_hosts (host_id);
CREATE VIEW pool_sight WITH (security_invoker = true) AS
    SELECT pool_id, host_id FROM pools, hosts WHERE everywhere
    UNION ALL SELECT pool_id, host_id FROM pool_hosts JOIN pools USING (pool_id) WHERE NOT everywhere;
COMMENT ON VIEW pool_sight IS 'which host sees which pool';
CREATE FUNCTION first_pool() RETURNS integer LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = public, pg_temp AS 'SELECT min(pool_id) FROM pools';
COMMENT ON FUNCTION first_pool IS 'the pool of who names none: servers of the version before, too';
ALTER TABLE disks ADD pool_id integer NOT NULL DEFAULT first_pool() REFERENCES pools;
ALTER TABLE trash_disks ADD pool_id integer NOT NULL DEFAULT first_pool() REFERENCES pools;
CREATE INDEX disks_pool_id ON disks (pool_id);
CREATE INDEX trash_disks_pool_id ON trash_disks (pool_id);
GRANT SELECT ON pools, pool_hosts, pool_sight TO invirt_remote, invirt_host;
GRANT UPDATE (everywhere) ON pools TO invirt_remote;
GRANT INSERT, DELETE ON pool_hosts TO invirt_remote;
REVOKE EXECUTE ON FUNCTION first_pool FROM PUBLIC;
GRANT EXECUTE ON FUNCTION first_pool TO invirt_remote, invirt_host;
"""
SEEN = """
ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
CREATE POLICY others ON {table} TO invirt_remote USING (true);
CREATE POLICY host ON {table} FOR SELECT TO invirt_host USING (EXISTS (SELECT FROM hosts));
"""

# Pools are locked before what is seen of them is read, so that of two transactions
# of which one takes a host's sight and the other relies on it, the second waits.
RULES = """
CREATE FUNCTION check_sight() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    blind record;
    machine integer;
    pool integer;
BEGIN
    IF TG_TABLE_NAME IN ('reservations', 'disks') THEN
        machine := NEW.machine_id;
        PERFORM FROM machines m WHERE m.machine_id = machine FOR NO KEY UPDATE;
        PERFORM FROM pools p WHERE p.pool_id IN (SELECT d.pool_id FROM disks d WHERE d.machine_id = machine)
            ORDER BY p.pool_id FOR SHARE;
    ELSE
        pool := OLD.pool_id;
        PERFORM FROM pools p WHERE p.pool_id = pool FOR NO KEY UPDATE;
    END IF;
    SELECT m.name AS machine, p.name AS pool, h.name AS host INTO blind
        FROM reservations r JOIN disks d USING (machine_id) JOIN machines m USING (machine_id)
        JOIN hosts h ON h.host_id = r.host_id JOIN pools p USING (pool_id)
        WHERE (r.machine_id = machine OR p.pool_id = pool) AND NOT EXISTS (SELECT FROM pool_sight s
            WHERE s.pool_id = p.pool_id AND s.host_id = r.host_id) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the host % would not see the pool %, where % has a disk',
            blind.host, blind.pool, blind.machine USING CONSTRAINT = 'pool_sight';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER sight AFTER INSERT OR UPDATE OF host_id, machine_id ON reservations
    FOR EACH ROW EXECUTE FUNCTION check_sight();
CREATE TRIGGER sight AFTER INSERT OR UPDATE OF pool_id, machine_id ON disks
    FOR EACH ROW EXECUTE FUNCTION check_sight();
CREATE TRIGGER sight AFTER UPDATE OF everywhere ON pools FOR EACH ROW EXECUTE FUNCTION check_sight();
CREATE TRIGGER sight AFTER DELETE OR UPDATE ON pool_hosts FOR EACH ROW EXECUTE FUNCTION check_sight();
REVOKE EXECUTE ON FUNCTION check_sight FROM PUBLIC;
"""

# What a remote server of the version before says to a host is about the first pool: of a disk that
# lies in another nothing would be done, and its row would go all the same.
KNOWN = """
CREATE FUNCTION check_pool_known() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    other text;
BEGIN
    SELECT p.name INTO other FROM pools p WHERE p.pool_id <> first_pool() AND p.pool_id IN (
        SELECT d.pool_id FROM disks d JOIN operations o USING (machine_id)
            WHERE o.operation_id = NEW.operation_id AND d.name = NEW.detail->>'disk'
        UNION SELECT pool_id FROM trash_disks
            WHERE trash_id = (NEW.detail->>'trash_id')::bigint AND name = NEW.detail->>'disk');
    IF FOUND THEN
        RAISE EXCEPTION 'disk % lies in the pool %, of which this remote server knows nothing',
            NEW.detail->>'disk', other USING HINT = 'Upgrade that server.';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER pool_known AFTER INSERT ON operation_steps FOR EACH ROW
    WHEN (NEW.detail ?& ARRAY['hostname', 'disk'] AND NOT NEW.detail ? 'pool')
    EXECUTE FUNCTION check_pool_known();
REVOKE EXECUTE ON FUNCTION check_pool_known FROM PUBLIC;
"""
AWAY = """
DROP TRIGGER sight ON reservations;
DROP TRIGGER sight ON disks;
DROP TRIGGER pool_known ON operation_steps;
ALTER TABLE disks DROP COLUMN pool_id;
ALTER TABLE trash_disks DROP COLUMN pool_id;
DROP VIEW pool_sight;
DROP TABLE pool_hosts, pools;
DROP FUNCTION first_pool;
DROP FUNCTION check_sight, check_pool_known;
"""


def upgrade() -> None:
    """All disks lie in the first pool, which is what all hosts see; what that is site.sql says."""
    op.execute(TABLES.replace(":", r"\:"))
    for table in ("pools", "pool_hosts"):
        op.execute(SEEN.format(table=table))
    op.execute(RULES.replace(":", r"\:"))
    op.execute(KNOWN.replace(":", r"\:"))


def downgrade() -> None:
    """Back to one storage, that of invirt.yaml."""
    op.execute(AWAY)
