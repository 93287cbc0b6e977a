"""Quotas are rows: of an owner, of all that one user made, of the whole site; each of one resource."""

from __future__ import annotations

from importlib import import_module

from alembic import op

revision = "0101"
down_revision = "0111"

TABLE = """
CREATE TABLE quotas (
    quota_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner_id integer REFERENCES owners ON DELETE CASCADE,
    principal principal,
    resource text NOT NULL CONSTRAINT quota_resource
        CHECK (resource IN ('machines', 'running', 'memory', 'disk', 'cpus', 'addresses')),
    amount integer NOT NULL CONSTRAINT quota_amount CHECK (amount >= 0),
    CONSTRAINT quota_whose CHECK (owner_id IS NULL OR principal IS NULL),
    CONSTRAINT quotas_key UNIQUE NULLS NOT DISTINCT (owner_id, principal, resource)
);
CREATE INDEX quotas_principal ON quotas (principal) WHERE principal IS NOT NULL;
COMMENT ON TABLE quotas IS
    'what an owner may use; principal: what all owners may that this user made; neither: what all of the site may';
COMMENT ON COLUMN quotas.amount IS 'MiB of memory, GiB of disk, or how many; what has no row has no bound of its own';
INSERT INTO quotas (owner_id, resource, amount)
    SELECT o.owner_id, q.resource, q.amount FROM owners o CROSS JOIN LATERAL
        (VALUES ('machines', o.machines), ('memory', o.memory), ('disk', o.disk)) AS q (resource, amount);
UPDATE owners o SET made_by = x.principal FROM members x
    WHERE x.owner_id = o.owner_id AND o.made_by IS NULL AND split_part(x.principal, '@', 1) = o.name;
COMMENT ON COLUMN owners.made_by IS 'which user, to whose own quotas it counts, and the number of groups';
COMMENT ON COLUMN owners.memory IS 'what servers of the version before write and read, as disk and machines: see quotas';
GRANT SELECT, INSERT, DELETE, UPDATE (amount) ON quotas TO invirt_remote;
"""

# Servers of the version before know these columns alone; what one has the other gets.
BEFORE = """
CREATE FUNCTION quotas_of_columns() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO quotas (owner_id, resource, amount) VALUES (NEW.owner_id, 'machines', NEW.machines),
        (NEW.owner_id, 'memory', NEW.memory), (NEW.owner_id, 'disk', NEW.disk)
        ON CONFLICT ON CONSTRAINT quotas_key DO UPDATE SET amount = excluded.amount
            WHERE quotas.amount <> excluded.amount;
    RETURN NULL;
END $$;
CREATE FUNCTION columns_of_quotas() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE owners o SET machines = CASE NEW.resource WHEN 'machines' THEN NEW.amount ELSE o.machines END,
            memory = CASE NEW.resource WHEN 'memory' THEN NEW.amount ELSE o.memory END,
            disk = CASE NEW.resource WHEN 'disk' THEN NEW.amount ELSE o.disk END
        WHERE o.owner_id = NEW.owner_id AND NEW.amount IS DISTINCT FROM
            CASE NEW.resource WHEN 'machines' THEN o.machines WHEN 'memory' THEN o.memory WHEN 'disk' THEN o.disk
            ELSE NEW.amount END;
    RETURN NULL;
END $$;
CREATE TRIGGER quotas AFTER INSERT OR UPDATE OF machines, memory, disk ON owners
    FOR EACH ROW EXECUTE FUNCTION quotas_of_columns();
CREATE TRIGGER columns AFTER INSERT OR UPDATE OF amount ON quotas
    FOR EACH ROW EXECUTE FUNCTION columns_of_quotas();
"""

# What is being given back from the trash counts already as the machine that it becomes.
USED = """
CREATE FUNCTION quota_trash(of_owners integer[]) RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
    SELECT coalesce(sum(d.size), 0) FROM trash t JOIN trash_disks d USING (trash_id)
    WHERE t.owner_id = ANY (of_owners) AND t.taken IS DISTINCT FROM 'undelete'
$$;
COMMENT ON FUNCTION quota_trash IS 'GiB of the disk that are in the trash';
CREATE FUNCTION quota_used(of_owners integer[], resource text) RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
SELECT CASE resource
    WHEN 'machines' THEN (SELECT count(*) FROM machines m WHERE m.owner_id = ANY (of_owners))
    WHEN 'running' THEN (SELECT count(*) FROM machines m WHERE m.owner_id = ANY (of_owners)
        AND EXISTS (SELECT FROM reservations r WHERE r.machine_id = m.machine_id))
    WHEN 'memory' THEN (SELECT coalesce(sum((SELECT c.memory FROM machine_memory c WHERE c.machine_id = m.machine_id)), 0)
        FROM machines m WHERE m.owner_id = ANY (of_owners))
    WHEN 'disk' THEN (SELECT coalesce(sum(d.size), 0) FROM machines m JOIN disks d USING (machine_id)
        WHERE m.owner_id = ANY (of_owners)) + quota_trash(of_owners)
    WHEN 'cpus' THEN (SELECT coalesce(sum(m.cpus), 0) FROM machines m WHERE m.owner_id = ANY (of_owners))
    WHEN 'addresses' THEN (SELECT count(n.ip) FROM machines m JOIN nics n USING (machine_id)
        WHERE m.owner_id = ANY (of_owners)) END
$$;
COMMENT ON FUNCTION quota_used IS 'by these owners together: MiB of memory, GiB of disk, or how many';
"""

# Locks come in one order: an owner, its maker's rows, the site's. An update that changes nothing is the lock: unlike
# SELECT FOR UPDATE it also makes a repeatable read transaction fail instead of counting old rows. What grows is
# checked, and nothing else: whose quota was lowered may still shrink, and take more of something else.
CHECK = """
DROP FUNCTION check_quota(integer);
CREATE FUNCTION check_quota(for_owner integer, wanted text[]) RETURNS void LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    one owners;
    row record;
    whose text;
    counted integer[];
    used bigint;
    kept bigint;
BEGIN
    UPDATE owners o SET made_by = o.made_by WHERE o.owner_id = for_owner RETURNING o.* INTO one;
    FOR row IN SELECT * FROM quotas q WHERE q.resource = ANY (wanted) AND (q.owner_id = for_owner
            OR q.owner_id IS NULL AND (q.principal IS NULL OR q.principal = one.made_by))
            ORDER BY q.owner_id IS NULL, q.principal IS NULL, q.resource LOOP
        IF row.owner_id IS NOT NULL THEN
            whose := one.name;
            counted := ARRAY[for_owner];
        ELSE
            UPDATE quotas q SET amount = q.amount WHERE q.quota_id = row.quota_id RETURNING q.amount INTO row.amount;
            whose := coalesce(row.principal || '''s own owners together', 'the whole site');
            counted := ARRAY(SELECT o.owner_id FROM owners o WHERE row.principal IS NULL OR o.made_by = row.principal);
        END IF;
        used := quota_used(counted, row.resource);
        IF used > row.amount THEN
            kept := CASE row.resource WHEN 'disk' THEN quota_trash(counted) ELSE 0 END;
            RAISE EXCEPTION 'the quota of % is % %; this would make %', whose, row.amount, CASE row.resource
                    WHEN 'running' THEN 'running machines' WHEN 'memory' THEN 'MiB of memory'
                    WHEN 'disk' THEN 'GiB of disk' WHEN 'cpus' THEN 'CPUs' ELSE row.resource END,
                used || CASE WHEN kept > 0 THEN ', with ' || kept || ' in the trash' ELSE '' END
                USING CONSTRAINT = 'no_room', HINT = CASE WHEN kept > 0
                    THEN 'machine trash shows it; machine purge ends it for good.' ELSE '' END;
        END IF;
    END LOOP;
END $$;
CREATE OR REPLACE FUNCTION check_machine_room() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM check_quota(NEW.owner_id, '{machines,memory,cpus}');
    ELSIF NEW.owner_id <> OLD.owner_id THEN
        PERFORM check_quota(NEW.owner_id, '{machines,running,memory,disk,cpus,addresses}');
    ELSIF NEW.memory > OLD.memory OR NEW.cpus > OLD.cpus THEN
        PERFORM check_quota(NEW.owner_id, '{memory,cpus}');
    END IF;
    RETURN NULL;
END $$;
DROP TRIGGER room ON machines;
CREATE TRIGGER room AFTER INSERT OR UPDATE OF owner_id, memory, cpus ON machines
    FOR EACH ROW EXECUTE FUNCTION check_machine_room();
CREATE OR REPLACE FUNCTION check_disk_room() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' OR NEW.machine_id <> OLD.machine_id OR NEW.size > OLD.size THEN
        PERFORM check_quota(m.owner_id, '{disk}') FROM machines m WHERE m.machine_id = NEW.machine_id;
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION check_address_room() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    IF NEW.ip IS NOT NULL AND (TG_OP = 'INSERT' OR OLD.ip IS NULL OR NEW.machine_id <> OLD.machine_id) THEN
        PERFORM check_quota(m.owner_id, '{addresses}') FROM machines m WHERE m.machine_id = NEW.machine_id;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER room AFTER INSERT OR UPDATE OF machine_id, ip ON nics
    FOR EACH ROW EXECUTE FUNCTION check_address_room();
CREATE OR REPLACE FUNCTION check_reservation() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' OR NEW.host_id <> OLD.host_id OR NEW.memory > OLD.memory THEN
        PERFORM check_host_memory(NEW.host_id);
        PERFORM check_quota(m.owner_id, '{running,memory}') FROM machines m WHERE m.machine_id = NEW.machine_id
            AND (m.memory < NEW.memory OR NOT EXISTS (SELECT FROM reservations r
                WHERE r.machine_id = NEW.machine_id AND r.host_id <> NEW.host_id));
    END IF;
    RETURN NULL;
END $$;
REVOKE EXECUTE ON FUNCTION quotas_of_columns, columns_of_quotas, quota_used, quota_trash, check_quota,
    check_address_room FROM PUBLIC;
"""

# Of each owner, one column a resource; null: there is no bound.
WEB = """
CREATE VIEW owner_quotas AS SELECT o.owner_id, o.name, q.*,
    quota_used(ARRAY[o.owner_id], 'machines') AS used_machines,
    quota_used(ARRAY[o.owner_id], 'running') AS used_running,
    quota_used(ARRAY[o.owner_id], 'memory') AS used_memory,
    quota_used(ARRAY[o.owner_id], 'disk') - quota_trash(ARRAY[o.owner_id]) AS used_disk,
    quota_trash(ARRAY[o.owner_id]) AS trash,
    quota_used(ARRAY[o.owner_id], 'cpus') AS used_cpus,
    quota_used(ARRAY[o.owner_id], 'addresses') AS used_addresses
    FROM owners o CROSS JOIN LATERAL (SELECT
        max(amount) FILTER (WHERE resource = 'machines') AS machines,
        max(amount) FILTER (WHERE resource = 'running') AS running,
        max(amount) FILTER (WHERE resource = 'memory') AS memory,
        max(amount) FILTER (WHERE resource = 'disk') AS disk,
        max(amount) FILTER (WHERE resource = 'cpus') AS cpus,
        max(amount) FILTER (WHERE resource = 'addresses') AS addresses
        FROM quotas WHERE owner_id = o.owner_id) q;
COMMENT ON VIEW owner_quotas IS 'what each owner may use and uses; what is in the trash counts as disk, and stands apart';
CREATE OR REPLACE VIEW web.quotas AS SELECT owner_id, name, memory, disk, machines, used_machines, used_memory, used_disk,
    trash, running, cpus, addresses, used_running, used_cpus, used_addresses FROM owner_quotas;
GRANT SELECT ON owner_quotas TO invirt_remote;
GRANT EXECUTE ON FUNCTION quota_used, quota_trash TO invirt_remote, invirt_web;
"""


def upgrade() -> None:
    """What owners have stays; there is no bound yet of what had none."""
    for part in (TABLE, BEFORE, USED, CHECK, WEB):
        op.execute(part.replace(":", r"\:"))


RULES_BEFORE = """
CREATE OR REPLACE FUNCTION check_disk_room() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' OR NEW.machine_id <> OLD.machine_id OR NEW.size > OLD.size THEN
        PERFORM check_quota(m.owner_id) FROM machines m WHERE m.machine_id = NEW.machine_id;
    END IF;
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION check_reservation() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' OR NEW.host_id <> OLD.host_id OR NEW.memory > OLD.memory THEN
        PERFORM check_host_memory(NEW.host_id);
        PERFORM check_quota(m.owner_id) FROM machines m
            WHERE m.machine_id = NEW.machine_id AND m.memory < NEW.memory;
    END IF;
    RETURN NULL;
END $$;
"""
AWAY = """
DROP TRIGGER room ON nics;
DROP TRIGGER quotas ON owners;
DROP FUNCTION check_address_room(), quotas_of_columns();
DROP FUNCTION check_quota(integer, text[]);
DROP VIEW web.quotas, owner_quotas;
DROP TABLE quotas;
DROP FUNCTION columns_of_quotas(), quota_used(integer[], text), quota_trash(integer[]);
COMMENT ON COLUMN owners.memory IS NULL;
"""


def downgrade() -> None:
    """Owners keep their machines, memory and disk."""
    then = import_module("invirt.database.migrations.versions.0056_reservations")
    web = import_module("invirt.database.migrations.versions.0068_web")
    op.execute(AWAY)
    op.execute(then.QUOTA.format(memory=then.COUNTED).replace("OR REPLACE ", ""))
    op.execute(then.MACHINE_ROOM.format(host="", columns="owner_id, memory"))
    op.execute(RULES_BEFORE)
    op.execute(web.QUOTAS[: web.QUOTAS.index("COMMENT")])
    op.execute("GRANT SELECT ON web.quotas TO invirt_web")
