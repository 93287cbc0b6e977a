"""Lists, boots and samples of large sites, with a dead host, beside bare ones."""

from __future__ import annotations

import random
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from invirt.base import cli
from invirt.base.commands import config as apply
from invirt.database.usage import EVERY, METRICS
from invirt.host import observer
from tests.bench import cpu
from tests.parts.operations.conftest import Site
from tests.parts.operations.conftest import site as operations_site
from tests.parts.operations.fakeguests import FakeHost
from tests.parts.owned import machine
from tests.parts.postgres import Cluster, Database
from tests.parts.remote.conftest import RemoteServer, remote, site
from tests.results import beside, best, quickest

__all__ = ["operations_site", "remote", "site"]  # the fixtures

ROOT = Path(__file__).parents[2]
ROUNDS = 5
MACHINES, OWNERS, HOSTS = 10_000, 2_000, 64
MINE, ALL = 1.1, 3.0  # times as long as a bare status, and as the bare query with its rows printed
CORE = 0.05  # of one, for the samples of 10,000 machines
BOOT = 1.2  # times as long with 64 hosts as with two
# The rules of rows, which take minutes for so many, are left out.
BARELY = "SET session_replication_role = replica;"
# Each host has as many.
RESERVE = f"""
{BARELY}
UPDATE machines m SET host_id = h.host_id
    FROM (SELECT host_id, row_number() OVER () - 1 AS n, count(*) OVER () AS all FROM hosts) h
    WHERE machine_id % h.all = h.n;
INSERT INTO reservations (machine_id, host_id, memory) SELECT machine_id, host_id, memory FROM machines;
RESET session_replication_role;
"""
FILL = f"""
INSERT INTO hosts (name, hostname, memory)
    SELECT 'h' || n, 'h' || n || '.invirt.test', 1000000 FROM generate_series(1, {HOSTS}) n;
WITH made AS (INSERT INTO owners (name, memory, disk, machines)
    SELECT 'o' || n, 10000, 100, 10 FROM generate_series(1, {OWNERS}) n RETURNING owner_id, name),
known AS (INSERT INTO members SELECT owner_id, name || '@INVIRT.TEST' FROM made)
INSERT INTO machines (name, owner_id, type_id, memory)
    SELECT 'f' || owner_id || '0' || n, owner_id, type_id, 64
    FROM made, types, generate_series(1, {MACHINES // OWNERS}) n;
{RESERVE}
INSERT INTO guest_states (machine_id, host_id, state, since)
    SELECT machine_id, host_id, 'running', now() FROM reservations;
INSERT INTO host_signs (host_id) SELECT host_id FROM hosts;
ANALYZE
"""
# All are as if they had just told, but one.
ALIVE = """
ALTER TABLE host_signs DISABLE TRIGGER now;
UPDATE host_signs SET seen_at = now() + interval '1 hour';
UPDATE host_signs SET seen_at = now() - interval '1 hour' WHERE host_id = (SELECT max(host_id) FROM hosts);
ALTER TABLE host_signs ENABLE TRIGGER now
"""
ADMINISTRATOR = "INSERT INTO administrators (principal) VALUES ('root@INVIRT.TEST')"
BARE = """
import sys
import psycopg2
folder, database = sys.argv[1:]
with psycopg2.connect(host=folder, dbname=database, user="invirt") as connected:
    cursor = connected.cursor()
    cursor.execute("SELECT m.name, o.name, s.state, h.name, m.memory, m.description, m.created_at"
        " FROM machines m JOIN owners o USING (owner_id) JOIN machine_states s USING (machine_id)"
        " LEFT JOIN hosts h ON h.host_id = s.host_id ORDER BY m.name")
    for row in cursor:
        print(*row)
"""


def test_lists(remote: RemoteServer, tmp_path: Path) -> None:
    machine(remote.database, "remus")
    assert cli.main(apply.COMMAND, ["apply", "--root", str(tmp_path)]) == 0  # as where packages are installed
    remote.database.execute(BARELY + FILL, user="postgres")
    remote.database.execute(ALIVE)
    remote.database.execute(ADMINISTRATOR)

    def status() -> None:
        assert remote.call("alice", "control", "remus", "status").stdout.startswith("remus is ")

    def mine() -> None:
        assert "remus" in remote.call("alice", "machine", "list").stdout

    def everyones() -> None:
        assert remote.call("root", "admin", "machine", "list").stdout.count("\n") > MACHINES

    def bare() -> None:
        argv = [sys.executable, "-c", BARE, remote.database.socket, remote.database.name]
        done = subprocess.run(argv, check=True, timeout=60, capture_output=True, text=True)
        assert done.stdout.count("\n") > MACHINES

    with remote.warm():
        for warm_up in (status, mine, everyones):
            warm_up()
        beside(
            f"machine list of one owner of {MACHINES} machines, to status",
            lambda: quickest(mine, ROUNDS),
            lambda: quickest(status, ROUNDS),
            MINE,
        )
        beside(
            f"admin machine list, {MACHINES} machines",
            lambda: quickest(everyones, 1),
            lambda: quickest(bare, 1),
            ALL,
        )


def test_samples(database: Database, cluster: Cluster) -> None:
    """What the sessions use of a core, should all hosts write once a minute."""
    with closing(cluster.superuser(database.name)) as connected, connected.cursor() as cursor:
        cursor.execute("INSERT INTO types (name, virt, kernel) VALUES ('linux', 'pvh', '/boot/vmlinuz')")
        cursor.execute(BARELY + FILL)
        cursor.execute(
            "SELECT hostname, array_agg(machine_id) FROM reservations JOIN hosts USING (host_id) GROUP BY 1"
        )
        hosts = cursor.fetchall()
        now, minutes = "extract(minute FROM now() AT TIME ZONE 'UTC')", iter(range(60))
        assert now in observer.USED
        write = observer.USED.replace(now, "%(minute)s")

        used = "{" + ",".join(str(random.getrandbits(20)) for _ in METRICS) + "}"

        def share() -> float:
            minute, before = next(minutes), cpu.seconds(cluster, database.name, cluster.process.pid)
            for host, machines in hosts:
                one = {"host": host, "machines": machines, "minute": minute}
                each = {"used": [used] * len(machines), "drops": [None] * len(machines)}
                cursor.execute(write, one | each)
            return (cpu.seconds(cluster, database.name, cluster.process.pid) - before) / EVERY

        for _ in range(5):
            share()
        best(f"samples of {MACHINES} machines, of a core", share, CORE)


MORE = f"""
INSERT INTO hosts (name, hostname, memory)
    SELECT 'more' || n, 'more' || n || '.invirt.test', 512 FROM generate_series(3, {HOSTS}) n;
INSERT INTO host_signs (host_id) SELECT host_id FROM hosts
"""
ENABLE = "UPDATE hosts SET enabled = %s WHERE name LIKE 'more%%'"


def test_a_boot_costs_no_more_with_many_hosts(operations_site: Site) -> None:
    """On hosts that cost nothing, one of which is dead, to one with two hosts; their ages are kept young."""
    here = operations_site
    here.rows(MORE)
    here.rows(ALIVE)
    names = [str(name) for (name,) in here.rows("SELECT hostname FROM hosts")]
    here.hosts.hosts |= {name: FakeHost() for name in names if name not in here.hosts.hosts}
    here.hosts.hosts[f"more{HOSTS}.invirt.test"].up = False
    here.create("remus")

    def boot(many: bool) -> float:
        here.rows(ENABLE, many)
        took = []
        for _ in range(ROUNDS):
            took.append(quickest(lambda: here.submit("boot", "remus"), 1))
            here.submit("destroy", "remus")
        return min(took)

    beside(f"a boot with {HOSTS} hosts, to one with 2", lambda: boot(True), lambda: boot(False), BOOT)
