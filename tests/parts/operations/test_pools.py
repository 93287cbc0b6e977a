"""Pools: a machine boots where its disks are seen, and volumes are handled there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any

import psycopg2
import pytest

from invirt.base.errors import BadInput, NoRoom, NotFound, Unreachable
from invirt.remote.operations import steps
from invirt.remote.operations.model import Planned
from tests.parts.operations.conftest import HOST1, HOST2, Site
from tests.parts.operations.fakedisks import FakePool
from tests.parts.operations.test_reconcile import differences

OWN = """
INSERT INTO pools (name, driver, place, everywhere) VALUES ('one', 'file', '/srv/one', false),
    ('two', 'lvm', 'two', false);
INSERT INTO pool_hosts SELECT pool_id, host_id FROM pools p, hosts h
    WHERE (p.name, h.name) IN (('one', 'host1'), ('two', 'host2'))
"""
TRASHED = """
SELECT t.name::text, p.name::text FROM trash t JOIN trash_disks USING (trash_id) JOIN pools p USING (pool_id)
ORDER BY 1
"""


@pytest.fixture
def own(site: Site) -> Site:
    """Each host has a pool of its own, beside the one that both see."""
    site.rows(OWN)
    site.hosts.pools |= {"one": FakePool(seen_by=(HOST1,)), "two": FakePool(seen_by=(HOST2,))}
    return site


def lies(site: Site) -> dict[str, set[tuple[str, str]]]:
    """What volumes are in each pool."""
    return {name: set(pool.volumes) for name, pool in site.hosts.pools.items() if pool.volumes}


def test_a_machine_lives_where_its_pool_is_seen(own: Site) -> None:
    own.create("a", pool="two")
    own.create("b", pool="two")
    assert lies(own) == {"two": {("a", "hda"), ("b", "hda")}}
    for name in ("a", "b"):
        own.submit("boot", name)
    assert own.homes() == {"a": HOST2, "b": HOST2}
    own.submit("destroy", "a")
    own.submit("disk-create", "a", disk="hdb", size=1)
    own.submit("resize", "a", disks={"hda": 2})
    own.submit("rename", "a", name="c")
    assert lies(own) == {"two": {("c", "hda"), ("c", "hdb"), ("b", "hda")}}
    own.submit("disk-remove", "c", disk="hdb")
    own.submit("disk-undelete", "c", trash=own.trashed())
    own.submit("delete", "c")
    own.submit("undelete", "c", trash=own.trashed())
    assert lies(own) == {"two": {("c", "hda"), ("c", "hdb"), ("b", "hda")}}
    own.submit("delete", "c")
    own.submit("purge", "c", trash=own.trashed())
    assert lies(own) == {"two": {("b", "hda")}}
    assert not own.hosts.pools["two"].trash
    assert {words[0] for words in own.hosts.calls if words[1] == "volume"} == {HOST2}


def test_where_nobody_says_where_it_is_a_pool_that_its_hosts_see(own: Site) -> None:
    """The first one, or that of the host with the most memory left."""
    own.rows("INSERT INTO types (name, virt, needs) VALUES ('special', 'pvh', '{xen}')")
    own.rows("UPDATE hosts SET hypervisor = 'xen' WHERE name = 'host2'")
    own.hosts.hosts[HOST2].hypervisor = "xen"
    own.create("a", type="special")
    own.rows(
        "UPDATE pools SET everywhere = false WHERE name = 'default';"
        " INSERT INTO pool_hosts SELECT pool_id, host_id FROM pools p, hosts h"
        " WHERE (p.name, h.name) = ('default', 'host1')"
    )
    own.create("b", type="special")
    own.create("c")
    assert lies(own) == {"default": {("a", "hda"), ("c", "hda")}, "two": {("b", "hda")}}


def test_refusals_say_who_does_not_see_what(own: Site) -> None:
    own.create("remus", pool="one")
    own.rows("UPDATE hosts SET enabled = false WHERE name = 'host1'")
    with pytest.raises(NoRoom, match="no host that sees the pool one has room for") as caught:
        own.submit("boot", "remus")
    assert caught.value.hint.startswith("host1: is disabled\nhost2: doesn't see the pool one\n")
    with pytest.raises(Unreachable, match="no host answers that sees the pool one"):
        own.submit("delete", "remus")
    own.rows("UPDATE hosts SET enabled = true")
    with pytest.raises(BadInput, match="which needs the pool one and the pool two") as refused:
        own.submit("disk-create", "remus", disk="hdb", size=1, pool="two")
    assert "host1: doesn't see the pool two\nhost2: doesn't see the pool one" in refused.value.hint
    with pytest.raises(NotFound, match="there is no pool three"):
        own.create("romulus", pool="three")
    assert lies(own) == {"one": {("remus", "hda")}}


def test_disks_in_two_pools_are_fine_where_both_are_seen(own: Site) -> None:
    own.create("remus")
    own.submit("disk-create", "remus", disk="hdb", size=1, pool="two")
    own.submit("boot", "remus")
    assert own.homes() == {"remus": HOST2}
    assert lies(own) == {"default": {("remus", "hda")}, "two": {("remus", "hdb")}}


def test_hosts_of_the_version_before_have_the_first_pool_alone(own: Site) -> None:
    for host in own.hosts.hosts.values():
        host.behind = True
    own.create("remus")
    own.submit("boot", "remus")
    own.submit("destroy", "remus")
    own.submit("delete", "remus")
    own.submit("undelete", "remus", trash=own.trashed())
    own.check()
    with pytest.raises(Unreachable, match="no host answers that sees the pool two"):
        own.create("romulus", pool="two")


@pytest.mark.parametrize(
    ("kind", "wants"),
    [
        ("delete", {}),
        ("rename", {"name": "romulus"}),
        ("resize", {"disks": {"hda": 2}}),
        ("disk-remove", {"disk": "hda"}),
        ("undelete", {}),
        ("purge", {}),
    ],
)
def test_a_server_of_the_version_before_does_nothing_in_another_pool(
    own: Site, monkeypatch: pytest.MonkeyPatch, kind: str, wants: dict[str, Any]
) -> None:
    """It tells hosts no pool: that would be the first one, in which there is no such disk."""
    own.create("remus", pool="two")
    if kind in ("undelete", "purge"):
        own.submit("delete", "remus")
        wants = {"trash": own.trashed()}
    monkeypatch.setattr(steps, "on_volume", partial(poolless, steps.on_volume))
    state, calls = lies(own), len(own.hosts.calls)
    with pytest.raises(BadInput, match="disk hda lies in the pool two, of which this remote server knows"):
        own.submit(kind, "remus", **wants)
    assert lies(own) == state
    assert {words[1:3] for words in own.hosts.calls[calls:]} <= {("domain", "status")}
    own.create("romulus")
    own.submit("delete", "romulus")


def poolless(planned: Callable[..., Planned], *about: Any, **more: Any) -> Planned:
    """A step of a server that knows of no pools."""
    step = planned(*about, **more)
    return Planned(step.step, {key: value for key, value in step.detail.items() if key != "pool"})


@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO reservations SELECT machine_id, 1, 1 FROM machines",
        "UPDATE reservations SET host_id = (SELECT host_id FROM hosts WHERE name = 'host1')",
        "UPDATE disks SET pool_id = (SELECT pool_id FROM pools WHERE name = 'one')",
        "DELETE FROM pool_hosts WHERE pool_id = (SELECT pool_id FROM pools WHERE name = 'two')",
        "UPDATE pool_hosts SET host_id = (SELECT host_id FROM hosts WHERE name = 'host1')"
        " WHERE pool_id = (SELECT pool_id FROM pools WHERE name = 'two')",
        "UPDATE pools SET everywhere = true WHERE name = 'two'; DELETE FROM pool_hosts;"
        " UPDATE pools SET everywhere = false WHERE name = 'two'",
    ],
)
def test_the_database_keeps_reservations_where_disks_are_seen(own: Site, change: str) -> None:
    own.create("remus", pool="two")
    own.submit("boot", "remus")
    with pytest.raises(psycopg2.errors.RaiseException, match="would not see the pool (one|two), where remus"):
        own.rows(change)
    own.submit("destroy", "remus")
    own.rows("DELETE FROM pool_hosts")


def test_sight_is_not_lost_while_a_reservation_is_made(own: Site) -> None:
    """Who takes a pool from a host waits for who reserves there, and is refused then."""
    own.create("remus", pool="two")
    with closing(own.database.connect()) as reserving, reserving.cursor() as cursor:
        reserving.autocommit = False
        cursor.execute("INSERT INTO reservations SELECT machine_id, 2, 1 FROM machines")
        own.rows("SET lock_timeout = 50")
        with pytest.raises(psycopg2.errors.LockNotAvailable):
            own.rows("DELETE FROM pool_hosts")
        reserving.commit()
    with pytest.raises(psycopg2.errors.RaiseException, match="would not see the pool two"):
        own.rows("DELETE FROM pool_hosts")


@pytest.mark.parametrize(
    "row",
    [
        "'x', 'lvm', '/dev/vg'",
        "'x', 'file', 'srv'",
        "'x', 'nfs', '/x'",
        "'x', 'lvm', 'vg/pool'",
        "'x', 'thin', 'vg'",
        "'x', 'thin', 'vg/a/b'",
        "'x', 'lvm', NULL",
        "'X', 'lvm', 'a'",
    ],
)
def test_pools_are_of_a_form(own: Site, row: str) -> None:
    with pytest.raises(psycopg2.errors.CheckViolation):
        own.rows(f"INSERT INTO pools (name, driver, place) VALUES ({row})")


def test_differences_are_told_by_pool(own: Site) -> None:
    own.create("remus", pool="two")
    own.hosts.pools["one"].volumes["remus", "hda"] = 3
    own.hosts.pools["two"].trash["nobody", "hda", 1] = 2
    assert differences(own, fix=True) == [
        "volume hda of remus (3 GiB) in pool one belongs to no machine",
        "volume hda of nobody (2 GiB), removed by operation 1, is not in the list of what is in the trash",
    ]
    assert lies(own) == {"two": {("remus", "hda")}}
    assert own.rows(TRASHED) == [("nobody", "two"), ("remus", "one")]
    own.hosts.hosts[HOST2].up = False
    assert "no host could list the volumes of pool two" in differences(own)
