"""What PowerDNS reads is at every commit what follows from machines, NICs and names."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TimedOut
from contextlib import closing, suppress

import psycopg2
import pytest

from tests.parts.database.rows import machine, site
from tests.parts.postgres import Database

SITE = "SELECT dns.set_site(%s, %s, ARRAY['ns.invirt.test'], 'h.invirt.test', 30)"
ZONES = [
    "invirt.test",
    "other.test",
    "deep.other.test",
    "far.off.other.test",
    "10.in-addr.arpa",
    "8.b.d.0.1.0.0.2.ip6.arpa",
]
KEPT = "SELECT source, domain_id, name, type, content, auth FROM dns.names"
WANTED = (
    "TABLE dns.of_zones UNION ALL TABLE dns.of_extra_records UNION ALL TABLE dns.of_nics"
    " UNION ALL TABLE dns.of_host_keys"
)

NAMES = ["remus", "romulus", "shop"]
HOSTNAMES = [
    *("remus.invirt.test", "shop.invirt.test", "www.shop.invirt.test", "a.b.other.test", "b.other.test"),
    *("x.deep.other.test", "deep.other.test", "www.example.org"),
]
RECORD = "INSERT INTO dns.extra_records (name, type, content) VALUES (%s, %s, %s)"
ONE_NIC = "(SELECT nic_id FROM nics ORDER BY random() LIMIT 1)"
ONE_MACHINE = "(SELECT machine_id FROM machines ORDER BY random() LIMIT 1)"
CHANGES = [
    "INSERT INTO machines (name, owner_id, type_id, memory)"
    " SELECT '{name}', owner_id, type_id, 1 FROM owners, types",
    "UPDATE machines SET name = '{name}' WHERE machine_id = " + ONE_MACHINE,
    "DELETE FROM machines WHERE name = '{name}'",
    "INSERT INTO nics (machine_id, mac_addr, ip)"
    " SELECT machine_id, '02:00:00:00:00:{number:02}', '10.5.0.1{digit}' FROM machines WHERE name = '{name}'",
    "UPDATE nics SET ip = '10.5.0.1{digit}' WHERE nic_id = " + ONE_NIC,
    "UPDATE nics SET ip = NULL WHERE nic_id = " + ONE_NIC,
    "UPDATE nics SET ip6 = '2001:db8::{digit}' WHERE nic_id = " + ONE_NIC,
    "UPDATE nics SET hostname = '{hostname}' WHERE nic_id = " + ONE_NIC,
    "UPDATE nics SET hostname = NULL WHERE nic_id = " + ONE_NIC,
    f"UPDATE nics SET machine_id = {ONE_MACHINE} WHERE nic_id = {ONE_NIC}",
    "DELETE FROM nics WHERE nic_id = " + ONE_NIC,
    "INSERT INTO host_keys SELECT machine_id, 'ED25519', 'SHA256:' || repeat('{digit}', 43)"
    " FROM machines WHERE name = '{name}'",
    "UPDATE host_keys SET kind = 'RSA' WHERE machine_id = " + ONE_MACHINE,
    f"UPDATE host_keys SET machine_id = {ONE_MACHINE}",
    "DELETE FROM host_keys WHERE machine_id = " + ONE_MACHINE,
    f"INSERT INTO hostnames SELECT '{{hostname}}', {ONE_NIC}",
    f"UPDATE hostnames SET nic_id = {ONE_NIC} WHERE hostname = '{{hostname}}'",
    "DELETE FROM hostnames WHERE hostname = '{hostname}'",
    "INSERT INTO dns.extra_records (name, type, content) VALUES ('{hostname}', 'A', '10.0.0.{digit}')",
    "INSERT INTO dns.extra_records (name, type, content) VALUES ('{hostname}', 'NS', 'ns.example.org')",
    "INSERT INTO dns.extra_records (name, type, content) VALUES ('b.other.test', 'NS', 'ns{digit}.test')",
    "INSERT INTO dns.extra_records (name, type, content)"
    " VALUES ('{hostname}', 'DS', '1 1{digit} 2 ' || repeat('ab', 32))",
    "UPDATE dns.extra_records SET name = 'c.{hostname}' WHERE name = '{hostname}'",
    "DELETE FROM dns.extra_records WHERE name LIKE '%{hostname}'",
]


@pytest.fixture
def named(database: Database) -> Iterator[Database]:
    """A site whose zones the database knows."""
    site(database)
    database.execute(SITE, ("invirt.test", ZONES))
    yield database


def a_change(dice: random.Random) -> str:
    """A statement; it may be one that the database refuses, or that changes nothing."""
    return dice.choice(CHANGES).format(
        name=dice.choice(NAMES),
        hostname=dice.choice(HOSTNAMES),
        digit=dice.randrange(10),
        number=dice.randrange(8),
    )


def path(zone: str, name: str) -> list[str]:
    """A name and those above it, inside the zone."""
    labels = name.removesuffix(zone).rstrip(".").split(".") if name != zone else []
    return [".".join([*labels[place:], zone]) for place in range(len(labels))]


def check(database: Database, said: str = "") -> None:
    """What follows is there; so are names that have only others below them; what is delegated is marked."""
    with closing(database.connect()) as connected, connected.cursor() as cursor:
        cursor.execute("SET jit = off")  # it takes longer than the question
        cursor.execute(WANTED)
        wanted = cursor.fetchall()
        cursor.execute(KEPT)
        kept = cursor.fetchall()
        cursor.execute("SELECT id, name FROM dns.zones")
        zones = dict(cursor.fetchall())
    real = [row[:5] for row in kept if row[0] is not None]
    assert sorted(real, key=str) == sorted(wanted, key=str), said
    names = {name for _, _, name, _, _ in real}
    above = {one for _, zone, name, _, _ in real for one in path(zones[zone], name)}
    empty = [row[2] for row in kept if row[0] is None]
    assert sorted(empty) == sorted(above - names), said
    delegated = {(zone, name) for _, zone, name, type, _ in real if type == "NS" and name != zones[zone]}
    for _, zone, name, type, _, auth in kept:
        around = path(zones[zone], name)[1 if type == "DS" else 0 :]
        assert auth is not any((zone, one) in delegated for one in around), f"{name} {type} in {said}"


@pytest.mark.parametrize("seed", range(3))
def test_after_every_change(named: Database, seed: int) -> None:
    dice = random.Random(seed)
    done: list[str] = []
    with closing(named.connect()) as connected, connected.cursor() as cursor:
        for _ in range(60):
            done.append(a_change(dice))
            with suppress(psycopg2.Error):
                cursor.execute(done[-1])
            check(named, ";\n".join(done))


def test_two_at_once_come_in_turn(named: Database) -> None:
    """The later one waits for the earlier one's commit, then sees what that has done."""
    machine(named, "remus", ip="10.5.0.10", mac="02:00:00:00:00:01")
    with closing(named.connect()) as connected, ThreadPoolExecutor(1) as pool:
        connected.autocommit = False
        with connected.cursor() as cursor:
            cursor.execute("UPDATE machines SET name = 'romulus'")
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # all that is done at the commit, and not yet it
            later = pool.submit(
                named.execute, "INSERT INTO hostnames SELECT 'shop.other.test', nic_id FROM nics"
            )
            with pytest.raises(TimedOut):
                later.result(0.5)
        connected.commit()
        later.result(20)
    check(named)


def test_a_host_name_that_is_a_machine_s_own_for_a_while(named: Database) -> None:
    own = "SELECT content FROM dns.names WHERE name = 'remus.invirt.test'"
    machine(named, "romulus", ip="10.5.0.10", mac="02:00:00:00:00:01")
    named.execute("UPDATE nics SET hostname = 'remus.invirt.test'")
    assert named.execute(own) == [("10.5.0.10",)]
    machine(named, "remus")
    assert named.execute(own) == []
    named.execute("UPDATE machines SET name = 'numa' WHERE name = 'remus'")
    assert named.execute(own) == [("10.5.0.10",)]
    named.execute("UPDATE machines SET name = 'remus' WHERE name = 'numa'")
    assert named.execute(own) == []
    named.execute("DELETE FROM machines WHERE name = 'remus'")
    assert named.execute(own) == [("10.5.0.10",)]


def test_a_name_is_a_machine_s_or_the_administrator_s(named: Database) -> None:
    """Of what would lead elsewhere; a text or a mail exchanger does no harm."""
    machine(named, "remus")
    for type, content in (("NS", "a.b"), ("CNAME", "a.b"), ("A", "10.0.0.1"), ("AAAA", "2001:db8::1")):
        with pytest.raises(psycopg2.errors.RaiseException, match="a machine is called remus"):
            named.execute(RECORD, ("remus.invirt.test", type, content))
        named.execute(RECORD, ("romulus.invirt.test", type, content))
        named.execute(RECORD, ("remus.other.test", type, content))
        with pytest.raises(psycopg2.errors.RaiseException, match="the name romulus is reserved"):
            named.execute("UPDATE machines SET name = 'romulus'")
        with pytest.raises(psycopg2.errors.RaiseException, match="a machine is called remus"):
            named.execute("UPDATE dns.extra_records SET name = 'remus.invirt.test'")
        named.execute("DELETE FROM dns.extra_records")
    named.execute(RECORD, ("remus.invirt.test", "MX", "10 a.b"))
    named.execute(RECORD, ("romulus.invirt.test", "TXT", '"x"'))
    named.execute("UPDATE machines SET name = 'romulus'")


def test_another_domain_in_invirt_yaml(named: Database) -> None:
    machine(named, "remus", ip="10.5.0.10", mac="02:00:00:00:00:01")
    serial = "SELECT value FROM counters WHERE name = 'dns'"
    ((before,),) = named.execute(serial)
    named.execute(SITE, ("invirt.test", ZONES))
    assert named.execute(serial) == [(before,)], "nothing has changed"
    named.execute(SITE, ("other.test", ["other.test", "10.in-addr.arpa"]))
    rows = named.execute("SELECT name, content FROM dns.names WHERE type IN ('A', 'PTR') ORDER BY type")
    assert rows == [("remus.other.test", "10.5.0.10"), ("10.0.5.10.in-addr.arpa", "remus.other.test")]
    ((after,),) = named.execute(serial)
    assert int(str(after)) > int(str(before))


def test_questions_cost_one_step_of_an_index(named: Database) -> None:
    """However many names there are: PowerDNS' question is planned as on its own table."""
    with closing(named.connect("invirt_dns")) as connected, connected.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
        cursor.execute(
            "EXPLAIN SELECT content, ttl, prio, type, domain_id, disabled::int, name, auth::int"
            " FROM dns.records WHERE disabled = false AND name = 'a.b' AND domain_id = 1"
        )
        plan = [line for (line,) in cursor.fetchall()]
    assert plan[0].startswith("Index Scan using names_name on names "), plan
