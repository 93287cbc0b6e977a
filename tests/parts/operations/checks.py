"""What must hold in a simulated history, and after it.  That nothing escapes it: see test_mutants."""

from __future__ import annotations

from typing import Any

from invirt.remote.operations import STEPS
from tests.parts.operations import misfortune
from tests.parts.operations.simulation import World

MEMORY = 512  # MiB of each host
ALWAYS = "EXECUTE always"
PREPARED = """
PREPARE always AS SELECT m.name, h.hostname, m.memory, promised, o.finished_at IS NOT NULL AS idle,
    (o.kind, o.state) = ('boot', 'undone') AS undone_boot,
    w.memory - sum(m.memory) OVER owned AS left_memory,
    w.disk - sum((SELECT sum(size) FROM disks d WHERE d.machine_id = m.machine_id)) OVER owned
        - (SELECT coalesce(sum(size), 0) FROM trash t JOIN trash_disks USING (trash_id)
            WHERE t.owner_id = m.owner_id AND taken IS DISTINCT FROM 'undelete') AS left_disk,
    (SELECT jsonb_object_agg(d.name, jsonb_build_array(d.disk_id, p.name)) FROM disks d
        JOIN pools p USING (pool_id) WHERE d.machine_id = m.machine_id) AS disks,
    (SELECT coalesce(jsonb_agg(DISTINCT p.name), '[]') FROM disks d JOIN pools p USING (pool_id)
        WHERE d.machine_id = m.machine_id) AS pools
FROM machines m LEFT JOIN hosts h USING (host_id) JOIN owners w USING (owner_id),
    LATERAL (SELECT coalesce(jsonb_object_agg(x.hostname, r.memory), '{}') AS promised
        FROM reservations r JOIN hosts x USING (host_id) WHERE r.machine_id = m.machine_id) promises,
    LATERAL (SELECT * FROM operations WHERE machine_id = m.machine_id ORDER BY operation_id DESC LIMIT 1) o
WINDOW owned AS (PARTITION BY owner_id)
"""
SIZES = """
SELECT p.name::text AS pool, m.name, d.name AS disk, d.size
FROM disks d JOIN machines m USING (machine_id) JOIN pools p USING (pool_id)
"""
TRASH = """
SELECT p.name::text AS pool, t.name::text, d.name AS disk, operation_id
FROM trash t JOIN trash_disks d USING (trash_id) JOIN pools p USING (pool_id)
"""
MAKERS = "SELECT operation_id FROM operations WHERE kind IN ('create', 'disk-create', 'cold-migrate')"
PIVOTS = "$$, $$".join(step.name for step in STEPS.values() if step.pivot)
TURNED = f"""
SELECT operation_id FROM operations JOIN operation_steps s USING (operation_id)
    WHERE operations.state IN ('undoing', 'undone') AND s.state = 'done' AND s.name IN ($${PIVOTS}$$)
"""
OPEN = "SELECT operation_id, state FROM operations WHERE finished_at IS NULL ORDER BY operation_id"


def always(world: World) -> None:
    """What holds at every moment, however bad the weather is."""
    assert not world.hosts.wrong, world.hosts.wrong[0]
    assert not (turned := world.rows(TURNED)), f"{turned} were turned back behind their pivots"
    rows, running = world.rows(ALWAYS), world.hosts.running()
    guests = [guest for _, guest in running]
    assert len(guests) == len(set(guests)), "a guest runs twice"
    promised, pools = {row.name: row.promised for row in rows}, {row.name: row.pools for row in rows}
    for host, guest in running:
        assert host in promised.get(guest, ()), f"{guest} runs on {host}, where nothing is reserved"
        for pool in pools.get(guest, ()):
            sees = world.hosts.pools[pool].seen_by
            assert not sees or host in sees, f"{guest} runs on {host}, which doesn't see its pool {pool}"
    for host in world.hosts.hosts:
        assert sum(row.promised.get(host, 0) for row in rows) <= MEMORY, f"{host} is too full"
    for place in [tuple(map(str, row)) for row in world.rows(f"{TRASH} WHERE taken IS NULL")]:
        content = world.hosts.contents.get(place)
        assert content is not None, f"{place} is lost from the trash"
        assert world.trashed.setdefault(place, content) == content, f"{place} in the trash is another disk"
    misfortune.always(world)
    for row in rows:
        assert row.left_memory >= 0 <= (row.left_disk or 0), "more than the quota"
        if row.idle:
            idle(world, row)


def idle(world: World, row: Any) -> None:
    """What holds for a machine that nothing is being done to."""
    assert len(row.promised) < 2, f"{row.name} has two homes"
    assert not (row.undone_boot and row.hostname), f"{row.name} wasn't booted, but has a place on a host"
    for disk, (number, pool) in (row.disks or {}).items():
        content = world.hosts.contents.get((pool, row.name, disk))
        assert content is not None, f"disk {disk} of {row.name} is lost"
        assert world.owned.setdefault(number, content) == content, f"{disk} of {row.name} is another disk"


def at_rest(world: World) -> None:
    """What holds when nothing is under way: guests and volumes are exactly those of the rows."""
    assert world.rows(OPEN) == []
    homes = [(host, row.name) for row in world.rows(ALWAYS) for host in row.promised]
    assert world.hosts.running() == sorted(homes), f"running: {world.hosts.running()}, reserved: {homes}"
    assert not any(host.waiting for host in world.hosts.hosts.values()), "a guest waits for ever"
    sizes = {(pool, name, disk): size for pool, name, disk, size in world.rows(SIZES)}
    volumes = world.hosts.all_volumes()
    assert sizes == volumes, f"volumes: {volumes}, rows: {sizes}"
    kept = {tuple(row) for row in world.rows(TRASH)}
    found = set(world.hosts.all_trash())
    assert kept <= found, f"lost from the trash: {kept - found}"
    strays = {operation for _, _, _, operation in found - kept}
    makers = {number for (number,) in world.rows(MAKERS)}
    assert strays <= makers, f"in the trash, and in no row: {found - kept}"
    assert world.rows("SELECT trash_id FROM trash WHERE taken IS NOT NULL") == []
    assert world.rows("SELECT name FROM machines WHERE machine_id NOT IN (SELECT machine_id FROM nics)") == []
    assert world.rows("SELECT ip FROM nics GROUP BY ip HAVING count(*) > 1") == []
