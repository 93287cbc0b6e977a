"""Schema web: what the web server's pages show."""

from __future__ import annotations

from alembic import op

revision = "0068"
down_revision = "0067"

# A page asks for one principal, one machine or one owner: what is counted is counted for these alone.
MACHINES = """
CREATE SCHEMA web;
CREATE VIEW web.machines AS SELECT m.machine_id, m.name::text AS name, o.name AS owner, t.name::text AS type,
    m.memory, m.cpus, m.description::text AS description, m.created_at, m.autostart, m.wanted_on, m.why_off,
    h.name::text AS host, s.state, s.seen, s.since, s.why, s.silence
    FROM machines m JOIN owners o USING (owner_id) JOIN types t USING (type_id)
    JOIN machine_states s USING (machine_id) LEFT JOIN hosts h ON h.host_id = m.host_id;
CREATE VIEW web.disks AS SELECT d.machine_id, d.name::text AS name, d.size, p.name::text AS pool
    FROM disks d JOIN pools p USING (pool_id);
CREATE VIEW web.nics AS SELECT machine_id, nic_id, host(ip) AS ip, host(ip6) AS ip6,
    mac_addr::text AS mac_addr, hostname::text AS hostname FROM nics;
CREATE VIEW web.trash AS SELECT t.trash_id, t.name::text AS name, t.machine_id, t.owner_id, o.name AS owner,
    t.deleted_at, t.ends_at, (SELECT sum(size) FROM trash_disks d WHERE d.trash_id = t.trash_id) AS disk
    FROM trash t JOIN owners o USING (owner_id) WHERE t.taken IS NULL;
CREATE VIEW web.administrators AS SELECT principal::text AS principal FROM administrators;
CREATE VIEW web.keys AS SELECT principal::text AS principal, key FROM public_keys;
"""
QUOTAS = """
CREATE VIEW web.quotas AS SELECT o.owner_id, o.name, o.memory, o.disk, o.machines,
    u.machines AS used_machines, u.memory AS used_memory, u.disk AS used_disk, t.disk AS trash
    FROM owners o CROSS JOIN LATERAL (
        SELECT count(*) AS machines, coalesce(sum(c.memory), 0)::bigint AS memory,
            coalesce(sum((SELECT sum(d.size) FROM disks d WHERE d.machine_id = m.machine_id)), 0)::bigint AS disk
        FROM machines m LEFT JOIN machine_memory c USING (machine_id) WHERE m.owner_id = o.owner_id) u
    CROSS JOIN LATERAL (SELECT coalesce(sum(d.size), 0)::bigint AS disk FROM trash JOIN trash_disks d USING (trash_id)
        WHERE owner_id = o.owner_id AND taken IS DISTINCT FROM 'undelete') t;
COMMENT ON VIEW web.quotas IS 'what each owner may use and uses; what is in the trash counts as disk, and stands apart';
CREATE VIEW web.members AS SELECT owner_id, principal::text AS principal FROM members;
"""
OPERATIONS = """
CREATE VIEW web.operations AS SELECT o.operation_id, o.kind, o.machine_id, o.machine_name, o.principal,
    o.via, o.administrator, o.state, o.error, o.created_at, o.finished_at
    FROM operations o;
CREATE VIEW web.steps AS SELECT operation_id, position, name, undo, state, changed_at FROM operation_steps;
CREATE VIEW web.audit AS SELECT audit_id, at, principal, via, command, arguments, machine_name, outcome,
    message, administrator FROM audit;
"""
SITE = """
CREATE VIEW web.hosts AS SELECT h.host_id, h.name::text AS name, h.hostname::text AS hostname, h.memory, h.enabled,
    h.hypervisor, s.strangers, extract(epoch FROM now() - s.seen_at)::double precision AS silence,
    coalesce(r.memory, 0)::bigint AS promised, r.machines
    FROM hosts h LEFT JOIN host_signs s USING (host_id) CROSS JOIN LATERAL (
        SELECT sum(memory) AS memory, count(*) AS machines FROM reservations WHERE host_id = h.host_id) r;
COMMENT ON COLUMN web.hosts.silence IS 'seconds since it last said anything; null: it never did';
CREATE VIEW web.ranges AS SELECT r.range_id, host(r.first) AS first, host(r.last) AS last, r.prefix,
    host(r.gateway) AS gateway, (r.last - r.first + 1)::bigint AS size,
    (SELECT count(*) FROM nics n WHERE n.ip BETWEEN r.first AND r.last) AS used FROM address_ranges r;
CREATE VIEW web.types AS SELECT type_id, name::text AS name, description::text AS description, virt::text AS virt,
    needs FROM types;
"""
RIGHTS = """
GRANT USAGE ON SCHEMA public, web TO invirt_web;
GRANT SELECT ON ALL TABLES IN SCHEMA web TO invirt_web;
GRANT SELECT ON access, owner_access, machine_states, claimed_twice, usage, usage_drops TO invirt_web;
"""


def upgrade() -> None:
    """It reads views, and nothing else."""
    for part in (MACHINES, QUOTAS, OPERATIONS, SITE, RIGHTS):
        op.execute(part.replace(":", r"\:"))


def downgrade() -> None:
    """There are no pages any more."""
    op.execute("DROP SCHEMA web CASCADE")
    op.execute(
        "REVOKE ALL ON access, owner_access, machine_states, claimed_twice, usage, usage_drops FROM invirt_web"
    )
    op.execute("REVOKE USAGE ON SCHEMA public FROM invirt_web")
