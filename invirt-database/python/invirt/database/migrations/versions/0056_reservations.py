"""Reservations: what memory is promised to which machine on which host, two of them while one moves."""

from __future__ import annotations

from alembic import op

revision = "0056"
down_revision = "0055"

TABLE = """
CREATE TABLE reservations (
    machine_id integer NOT NULL REFERENCES machines ON DELETE CASCADE,
    host_id integer NOT NULL REFERENCES hosts,
    memory integer NOT NULL CONSTRAINT reservation_memory CHECK (memory > 0),
    operation_id bigint REFERENCES operations ON DELETE SET NULL,
    PRIMARY KEY (machine_id, host_id)
);
COMMENT ON TABLE reservations IS 'where a machine may run: MiB that are promised to it on a host';
COMMENT ON COLUMN reservations.operation_id IS 'for which it was made; null: that is not known any more';
COMMENT ON COLUMN machines.host_id IS 'its home: the host of its oldest reservation, which alone sets it';
CREATE INDEX reservations_host_id ON reservations (host_id) INCLUDE (memory);
CREATE INDEX reservations_operation_id ON reservations (operation_id);
INSERT INTO reservations SELECT machine_id, host_id, memory,
        (SELECT max(operation_id) FROM operations o WHERE o.machine_id = m.machine_id AND o.kind = 'boot')
    FROM machines m WHERE host_id IS NOT NULL;

CREATE VIEW machine_memory AS SELECT machine_id,
    greatest(memory, (SELECT max(r.memory) FROM reservations r WHERE r.machine_id = m.machine_id)) AS memory
    FROM machines m;
COMMENT ON VIEW machine_memory IS 'what counts to the quota: also of one that moves, once';

GRANT SELECT, INSERT, UPDATE, DELETE ON reservations TO invirt_remote;
GRANT SELECT ON machine_memory TO invirt_remote;
GRANT SELECT ON reservations TO invirt_host;
ALTER TABLE reservations ENABLE ROW LEVEL SECURITY;
CREATE POLICY others ON reservations TO invirt_remote USING (true);
CREATE POLICY host ON reservations FOR SELECT TO invirt_host USING (host_id IN (SELECT host_id FROM hosts));
"""

# The update that changes nothing is the lock; see check_quota.
HOST_MEMORY = """
CREATE OR REPLACE FUNCTION check_host_memory(for_host integer) RETURNS void LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    host hosts;
    used bigint;
BEGIN
    UPDATE hosts h SET memory = h.memory WHERE h.host_id = for_host RETURNING h.* INTO host;
    SELECT sum(r.memory) INTO used FROM {reserved} r WHERE r.host_id = for_host;
    IF used > host.memory THEN
        RAISE EXCEPTION 'the host % has % MiB for guests; this would make %',
            host.name, host.memory, used USING CONSTRAINT = 'no_room';
    END IF;
END $$;
"""
MACHINE_ROOM = """
CREATE OR REPLACE FUNCTION check_machine_room() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' OR NEW.owner_id <> OLD.owner_id OR NEW.memory > OLD.memory THEN
        PERFORM check_quota(NEW.owner_id);
    END IF;
    {host}
    RETURN NULL;
END $$;
DROP TRIGGER room ON machines;
CREATE TRIGGER room AFTER INSERT OR UPDATE OF {columns} ON machines
    FOR EACH ROW EXECUTE FUNCTION check_machine_room();
"""
HOST_ROOM_BEFORE = """
    IF NEW.host_id IS NOT NULL AND (TG_OP = 'INSERT'
            OR NEW.host_id IS DISTINCT FROM OLD.host_id OR NEW.memory > OLD.memory) THEN
        PERFORM check_host_memory(NEW.host_id);
    END IF;
"""
QUOTA = """
CREATE OR REPLACE FUNCTION check_quota(for_owner integer) RETURNS void LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    quota owners;
    used record;
    kept bigint;
BEGIN
    UPDATE owners o SET memory = o.memory WHERE o.owner_id = for_owner RETURNING o.* INTO quota;
    SELECT count(*) AS machines, coalesce(sum({memory}), 0) AS memory,
           coalesce(sum((SELECT sum(d.size) FROM disks d WHERE d.machine_id = m.machine_id)), 0) AS disk
        INTO used FROM machines m WHERE m.owner_id = for_owner;
    SELECT coalesce(sum(d.size), 0) INTO kept FROM trash t JOIN trash_disks d USING (trash_id)
        WHERE t.owner_id = for_owner AND t.taken IS DISTINCT FROM 'undelete';
    IF used.machines > quota.machines THEN
        RAISE EXCEPTION 'the quota of % is % machines; this would make %',
            quota.name, quota.machines, used.machines USING CONSTRAINT = 'no_room';
    ELSIF used.memory > quota.memory THEN
        RAISE EXCEPTION 'the quota of % is % MiB of memory; this would make %',
            quota.name, quota.memory, used.memory USING CONSTRAINT = 'no_room';
    ELSIF used.disk + kept > quota.disk AND kept > 0 THEN
        RAISE EXCEPTION 'the quota of % is % GiB of disk; this would make %, with % in the trash',
            quota.name, quota.disk, used.disk + kept, kept
            USING CONSTRAINT = 'no_room', HINT = 'machine trash shows it; machine purge ends it for good.';
    ELSIF used.disk > quota.disk THEN
        RAISE EXCEPTION 'the quota of % is % GiB of disk; this would make %',
            quota.name, quota.disk, used.disk USING CONSTRAINT = 'no_room';
    END IF;
END $$;
"""
COUNTED = "(SELECT c.memory FROM machine_memory c WHERE c.machine_id = m.machine_id)"

# Servers of the version before say where a machine is by its host_id alone.
RULES = """
CREATE FUNCTION check_reservation() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' OR NEW.host_id <> OLD.host_id OR NEW.memory > OLD.memory THEN
        PERFORM check_host_memory(NEW.host_id);
        PERFORM check_quota(m.owner_id) FROM machines m
            WHERE m.machine_id = NEW.machine_id AND m.memory < NEW.memory;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER room AFTER INSERT OR UPDATE ON reservations
    FOR EACH ROW EXECUTE FUNCTION check_reservation();

CREATE FUNCTION set_home() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    machine integer := CASE TG_OP WHEN 'DELETE' THEN OLD.machine_id ELSE NEW.machine_id END;
    home integer := (SELECT r.host_id FROM reservations r WHERE r.machine_id = machine
        ORDER BY r.operation_id NULLS FIRST LIMIT 1);
BEGIN
    UPDATE machines m SET host_id = home WHERE m.machine_id = machine AND m.host_id IS DISTINCT FROM home;
    RETURN NULL;
END $$;
CREATE TRIGGER home AFTER INSERT OR DELETE OR UPDATE ON reservations
    FOR EACH ROW EXECUTE FUNCTION set_home();

CREATE FUNCTION reserve_at_home() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    DELETE FROM reservations r WHERE r.machine_id = NEW.machine_id AND r.host_id IS DISTINCT FROM NEW.host_id;
    IF NEW.host_id IS NOT NULL THEN
        INSERT INTO reservations VALUES (NEW.machine_id, NEW.host_id, NEW.memory) ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION reserve_at_home IS 'for servers of the version before, which write machines.host_id alone';
CREATE TRIGGER home AFTER INSERT OR UPDATE OF host_id ON machines
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION reserve_at_home();
REVOKE EXECUTE ON FUNCTION check_reservation, set_home, reserve_at_home FROM PUBLIC;
"""

AWAY = """
DROP TRIGGER home ON machines;
DROP VIEW machine_memory;
DROP TABLE reservations;
DROP FUNCTION check_reservation;
DROP FUNCTION set_home;
DROP FUNCTION reserve_at_home;
COMMENT ON COLUMN machines.host_id IS 'where its memory (MiB) is reserved; null when it is known to be off';
"""


def upgrade() -> None:
    """Make the table and its rules; what was reserved by machines' host_id is in it."""
    op.execute(TABLE)
    for part in (HOST_MEMORY.format(reserved="reservations"), QUOTA.format(memory=COUNTED)):
        op.execute(part)
    op.execute(MACHINE_ROOM.format(host="", columns="owner_id, memory"))
    op.execute(RULES.replace(":", r"\:"))


def downgrade() -> None:
    """Leave machines' host_id alone, of one that moves where it came from."""
    op.execute(MACHINE_ROOM.format(host=HOST_ROOM_BEFORE, columns="owner_id, memory, host_id"))
    for part in (HOST_MEMORY.format(reserved="machines"), QUOTA.format(memory="m.memory"), AWAY):
        op.execute(part)
