"""Machines that were switched on stay wanted on, until somebody or the guest itself switches them off."""

from __future__ import annotations

import pytest
import sqlalchemy

from invirt.base.errors import InvirtError
from invirt.database import schema
from invirt.remote import reconcile, wanted
from tests.parts.operations.conftest import HOST1, HOST2, Site
from tests.parts.operations.fakeguests import FakeHost
from tests.parts.operations.fakehosts import failing, no_fault
from tests.parts.postgres import Database

NAMES = ["m1", "m2", "m3"]


@pytest.fixture
def up(site: Site) -> Site:
    """Three machines that run on host1."""
    site.rows("UPDATE hosts SET enabled = false WHERE name = 'host2'")
    for name in NAMES:
        site.create(name)
        site.submit("boot", name)
    return site


def wants(site: Site, name: str) -> tuple[object, ...]:
    """Whether it is wanted on, and what its owner reads."""
    return site.rows("SELECT wanted_on, why_off FROM machines WHERE name = %s", name)[0]


def test_a_power_cut_ends_with_all_running(up: Site) -> None:
    """Two at a time, the oldest first; and while the host is away nothing is done."""
    host = up.hosts.hosts[HOST1]
    host.crash()
    host.up = False
    up.turn()
    assert set(up.homes().values()) == {"host1.invirt.test"}
    host.up = True
    up.turn()
    assert host.running == {"m1", "m2"}
    up.turn()
    assert host.running == set(NAMES)
    up.check()


def test_what_comes_back_first_is_what_has_the_highest_priority(up: Site) -> None:
    up.rows("UPDATE machines SET priority = 9 WHERE name = 'm3'")
    up.hosts.hosts[HOST1].crash()
    assert wanted.to_boot(up.remote, reconcile.gather(up.remote, up.hosts, volumes=False)) == ["m3", "m1"]


def test_each_host_is_given_two_whichever_they_came_from(up: Site) -> None:
    """Of a host that was lost: so many hosts as there are boot its machines at once."""
    up.hosts.hosts[HOST1].crash()
    up.create("m4", memory=64)
    up.rows("INSERT INTO hosts (name, hostname, memory) VALUES ('host3', 'host3.invirt.test', 512)")
    up.rows("UPDATE hosts SET enabled = true")
    up.rows("UPDATE machines SET wanted_on = true, host_id = NULL")
    up.hosts.hosts["host3.invirt.test"] = FakeHost()
    facts = reconcile.gather(up.remote, up.hosts, volumes=False)
    assert wanted.to_boot(up.remote, facts) == ["m1", "m2", "m3", "m4"]
    assert wanted.to_boot(up.remote, facts, at_once=1) == ["m1", "m2", "m3"]


def test_what_is_too_large_holds_up_nobody_and_is_tried_again(up: Site) -> None:
    """Two of the highest priority, for which the host has become too small; nor is their room given away."""
    up.hosts.hosts[HOST1].crash()
    for name in ("m1", "m2"):
        up.submit("destroy", name)
        up.submit("resize", name, memory=256)
    up.rows("UPDATE machines SET priority = 9, wanted_on = true WHERE name IN ('m1', 'm2')")
    up.rows("UPDATE machines SET wanted_on = true WHERE name = 'm3'")
    host = up.hosts.hosts[HOST1]
    up.rows("UPDATE hosts SET memory = 128 WHERE name = 'host1'")
    up.turn()
    assert host.running == {"m3"}
    assert wants(up, "m1") == wants(up, "m2") == (True, "")
    up.rows("UPDATE hosts SET memory = 384 WHERE name = 'host1'")
    up.turn()
    assert host.running == {"m1", "m3"}
    up.submit("destroy", "m3")
    up.rows("UPDATE machines SET wanted_on = true WHERE name = 'm3'")
    up.rows("UPDATE hosts SET memory = 512 WHERE name = 'host1'")
    up.turn()
    assert host.running == {"m1", "m2"}


def test_another_host_may_have_room(up: Site) -> None:
    """The one that crashed is not asked for room that it lacks."""
    up.rows("UPDATE hosts SET enabled = (name = 'host2')")
    up.hosts.hosts[HOST1].crash("m2")
    up.turn()
    assert (HOST2, "m2") in up.hosts.running()
    up.check()


def test_a_guest_that_powers_off_stays_off(up: Site) -> None:
    up.hosts.hosts[HOST1].running.discard("m2")
    up.turn()
    assert wants(up, "m2") == (False, "its guest powered off")
    assert up.homes()["m2"] is None
    up.turn()
    assert up.hosts.hosts[HOST1].running == {"m1", "m3"}


@pytest.mark.parametrize("kind", ["shutdown", "destroy"])
def test_who_switches_off_is_heard_though_the_host_dies(up: Site, kind: str) -> None:
    host = up.hosts.hosts[HOST1]
    up.hosts.fault = failing(kind)
    with pytest.raises(InvirtError):
        up.submit(kind, "m2")
    up.hosts.fault = no_fault
    host.crash("m2")
    up.turn()
    assert "m2" not in host.running


def test_three_in_ten_minutes_end_it(up: Site) -> None:
    host = up.hosts.hosts[HOST1]
    for _ in range(wanted.OFTEN):
        host.crash("m2")
        up.turn()
        assert "m2" in host.running
    host.crash("m2")
    up.turn()
    on, why = wants(up, "m2")
    assert not on
    assert "3 times within 10 minutes" in str(why)
    assert "m2" not in host.running
    up.submit("boot", "m2")  # its owner's word begins anew
    assert wants(up, "m2") == (True, "")


def test_boots_that_fail_end_too_and_say_why(up: Site) -> None:
    up.hosts.hosts[HOST1].crash("m2")
    up.hosts.fault = failing("create")
    for _ in range(wanted.OFTEN + 1):
        up.turn()
    on, why = wants(up, "m2")
    assert not on
    assert "create failed as it was told to" in str(why)


def test_one_that_waits_for_room_can_be_switched_off(up: Site) -> None:
    up.rows("UPDATE hosts SET enabled = false")
    up.hosts.hosts[HOST1].crash("m2")
    up.hosts.fault = failing("create")
    up.turn()
    assert wants(up, "m2") == (True, "")
    up.submit("destroy", "m2")
    assert wants(up, "m2") == (False, "")


def test_without_autostart_a_crash_is_the_end(up: Site) -> None:
    up.rows("UPDATE machines SET autostart = false WHERE name = 'm2'")
    up.hosts.hosts[HOST1].crash("m2")
    up.turn()
    assert "m2" not in up.hosts.hosts[HOST1].running
    assert wants(up, "m2") == (False, "its guest or host crashed; it has no autostart")


def test_a_host_that_tells_no_reasons_is_left_alone(up: Site) -> None:
    """One of the version before."""
    host = up.hosts.hosts[HOST1]
    host.running.discard("m2")
    host.booted.clear()
    up.turn()
    assert not wants(up, "m2")[0]


def test_what_has_changed_since_the_hosts_were_asked_is_left_alone(up: Site) -> None:
    """Booted meanwhile, it is neither given back nor booted twice."""
    up.submit("destroy", "m2")
    facts = reconcile.gather(up.remote, up.hosts, volumes=False)
    up.submit("boot", "m2")
    assert wanted.to_boot(up.remote, facts) == []
    assert up.homes()["m2"] == HOST1
    up.check()


def test_what_was_under_way_at_the_upgrade_counts(site: Site, database: Database) -> None:
    """The version before noted nobody's word: what ran was wanted on, but for what was just switched."""
    kinds = ("boot", "shutdown", "destroy", "reboot")
    for kind in kinds:
        site.create(kind)
    engine = sqlalchemy.create_engine(f"postgresql://invirt@/{database.name}?host={database.socket}")
    with engine.begin() as connection:
        schema.downgrade(connection, "0031")
    database.execute("UPDATE machines SET host_id = (SELECT min(host_id) FROM hosts)")
    database.execute(
        "INSERT INTO operations (kind, machine_id, machine_name, principal, state)"
        " SELECT name, machine_id, name, 'alice@INVIRT.TEST', 'undoing' FROM machines"
    )
    with engine.begin() as connection:
        schema.upgrade(connection)
    engine.dispose()
    assert {kind: wants(site, kind)[0] for kind in kinds} == {kind: kind == "reboot" for kind in kinds}
    database.execute("UPDATE operations SET state = 'done' WHERE kind = 'boot'")
    assert wants(site, "boot") == (True, "")
