"""A small site for operations: two hosts, a range of addresses, a type, alice and bob."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any

import psycopg2.extensions
import pytest

from invirt import config
from invirt.base.errors import InvirtError
from invirt.database import connection
from invirt.remote import clock, reconcile, wanted
from invirt.remote.operations import Actor, Operation, recovery, submit
from tests.parts.operations.fakehosts import FakeHosts
from tests.parts.postgres import Database

ALICE, BOB = "alice@INVIRT.TEST", "bob@INVIRT.TEST"
HOST1, HOST2 = "host1.invirt.test", "host2.invirt.test"

SITE = """
INSERT INTO hosts (name, hostname, memory) VALUES
    ('host1', 'host1.invirt.test', 512), ('host2', 'host2.invirt.test', 512);
INSERT INTO address_ranges (first, last, prefix, gateway) VALUES ('10.7.0.10', '10.7.0.250', 24, '10.7.0.1');
INSERT INTO types (name, virt, kernel) VALUES ('linux', 'pvh', '/boot/vmlinuz');
INSERT INTO autoinstalls (name, url, keyring, memory, disk)
    VALUES ('debian-12', 'http://install.example.org:8180/debian-12', 'key', 64, 1);
"""
OWN_POOL = """
INSERT INTO pools (name, driver, place, everywhere) VALUES ('own', 'file', '/srv/own', false);
INSERT INTO pool_hosts SELECT pool_id, host_id FROM pools, hosts
    WHERE (pools.name, hosts.name) = ('own', 'host2');
"""

ZONES = (
    "SELECT dns.set_site('invirt.test', ARRAY['invirt.test', '10.in-addr.arpa'],"
    " ARRAY['ns.invirt.test'], 'hostmaster.invirt.test', 30)"
)

# Records in DNS that don't follow from the rows, and those that are missing.
WRONG_NAMES = """
WITH kept AS (SELECT source, domain_id, name, type, content FROM dns.names WHERE source IS NOT NULL),
    wanted AS (TABLE dns.of_zones UNION ALL TABLE dns.of_nics)
(TABLE kept EXCEPT ALL TABLE wanted) UNION ALL (TABLE wanted EXCEPT ALL TABLE kept)
"""

# What must hold whenever no operation is open.
USAGE = """
SELECT m.name, h.hostname FROM machines m LEFT JOIN reservations r USING (machine_id)
    LEFT JOIN hosts h ON h.host_id = r.host_id ORDER BY m.name
"""


@dataclass
class Site:
    """The database and the hosts, and how to ask for operations on them."""

    database: Database
    hosts: FakeHosts
    owner: psycopg2.extensions.connection  # the schema's, for looking on
    remote: connection.Connection  # what a remote server would use

    def submit(
        self, kind: str, machine: str, /, who: str = ALICE, key: str | None = None, **wants: Any
    ) -> Operation:
        """Submit an operation as a user would."""
        return submit(kind, actor(kind, who), machine, wants, key, hosts=self.hosts, connection=self.remote)

    def recover(self) -> None:
        """What the services do, long after whoever was at work has died."""
        self.expire()
        recovery.run(self.remote, self.hosts)
        self.turn()

    def turn(self) -> list[str]:
        """The timer's turn, with boots one after the other; returns what was given back."""
        facts = reconcile.gather(self.remote, self.hosts, volumes=False)
        again = wanted.to_boot(self.remote, facts)
        given = reconcile.release_off(self.remote, facts, again)
        for name in again:
            with suppress(InvirtError):
                submit("boot", wanted.actor(), name, hosts=self.hosts, connection=self.remote)
        return given

    def create(self, name: str, memory: int = 128, disk: int = 1, **more: Any) -> Operation:
        """A machine with small defaults."""
        return self.submit("create", name, memory=memory, disk=disk, **more)

    def rows(self, query: str, *values: object) -> list[tuple[object, ...]]:
        """What the database says."""
        with self.owner.cursor() as cursor:
            cursor.execute(query, values)
            return cursor.fetchall() if cursor.description else []

    def homes(self) -> dict[str, str | None]:
        """Host name, or None, of each machine in the database."""
        return {str(name): host and str(host) for name, host in self.rows(USAGE)}  # type: ignore[misc]

    def expire(self) -> None:
        """Let all leases and pauses come to their end."""
        self.rows(
            "UPDATE operations SET lease_until = now() - interval '1 second' WHERE lease_until IS NOT NULL"
        )

    def check(self) -> None:
        """With nothing under way: guests, volumes, addresses and names are exactly those of the rows."""
        assert (
            self.rows("SELECT kind, state, error FROM operations WHERE state IN ('running', 'undoing')") == []
        )
        homes = {name: host for name, host in self.homes().items() if host}
        assert {guest: host for host, guest in self.hosts.running()} == homes
        assert len(self.hosts.running()) == len(homes)
        assert {tuple(place): size for *place, size in self.rows(DISKS)} == self.hosts.all_volumes()
        assert self.rows("SELECT m.name FROM machines m WHERE NOT EXISTS (SELECT FROM nics n"
                         " WHERE n.machine_id = m.machine_id AND n.ip IS NOT NULL)") == []  # fmt: skip
        assert self.rows(WRONG_NAMES) == []
        gone = {place: size for place, size in self.hosts.all_trash().items() if not self.undone(place[3])}
        assert gone == {tuple(place): size for *place, size in self.rows(TRASH)}
        assert self.rows("SELECT trash_id FROM trash WHERE taken IS NOT NULL") == []
        assert self.rows("SELECT machine_id FROM installs") == []

    def undone(self, operation: int) -> bool:
        """Whether it made a disk and was undone: hosts have that in their trash, no row has."""
        return self.rows(MADE, operation) != []

    def trashed(self) -> int:
        """The number of what went to the trash last."""
        [(number,)] = self.rows("SELECT max(trash_id) FROM trash")
        assert isinstance(number, int)
        return number


def actor(kind: str, who: str = ALICE) -> Actor:
    """A user, or an administrator for what they alone may do."""
    return Actor(who, administrator=kind.endswith("migrate"))


MADE = """
SELECT 1 FROM operations WHERE operation_id = %s AND state <> 'done'
    AND kind IN ('create', 'disk-create', 'cold-migrate')
"""
DISKS = """
SELECT p.name::text, m.name, d.name, d.size
FROM disks d JOIN machines m USING (machine_id) JOIN pools p USING (pool_id)
"""
TRASH = """
SELECT p.name::text, t.name::text, d.name, operation_id, size
FROM trash t JOIN trash_disks d USING (trash_id) JOIN pools p USING (pool_id)
"""
POINTS = "points at which something died or failed"
recorded: defaultdict[str, Counter[str]] = defaultdict(Counter)


@pytest.fixture
def record() -> Callable[[str, str, int], None]:
    """Adds to a number of a kind that is printed at the end of the run: record(kind, what, number)."""

    def add(kind: str, what: str, number: int) -> None:
        recorded[kind][what] += number

    return add


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print how much was tried, a line for each kind."""
    for kind, numbers in recorded.items():
        each = ", ".join(f"{what} {number}" for what, number in sorted(numbers.items()))
        terminalreporter.write_line(f"{kind}: {numbers.total()} ({each})")


class Quick:
    """A clock of whose seconds thousands pass in one."""

    now = 0.0

    def monotonic(self) -> float:
        """See Clock."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """See Clock."""
        self.now += seconds


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Quick:
    """Time passes as fast as it is waited for."""
    made = Quick()
    monkeypatch.setattr(clock, "current", made)
    return made


@pytest.fixture
def site(database: Database) -> Iterator[Site]:
    """Two hosts of 512 MiB each, 241 addresses; this process is a remote server.

    Many wait for one row in some tests, on a slow machine too, and none may be told that it is busy.
    """
    patient = database.config.read_text().replace("statement_timeout: 10", "statement_timeout: 100")
    patient = patient.replace("connect_timeout: 3", "connect_timeout: 60")
    database.config.write_text(patient)
    config.reload()
    database.execute(SITE)
    database.execute(ZONES)
    connection.role = "remote"
    with closing(database.connect()) as owner, closing(connection.connect()) as remote:
        yield Site(database, FakeHosts(HOST1, HOST2), owner, remote)
