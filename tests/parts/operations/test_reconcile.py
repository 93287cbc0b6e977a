"""Each difference between database, hosts and volumes is found, and mended where that is safe."""

from __future__ import annotations

from contextlib import suppress

import pytest

from invirt.base.errors import BadInput
from invirt.remote import reconcile
from invirt.remote.operations import Actor, submit
from tests.parts.operations.conftest import ALICE, HOST1, HOST2, Site
from tests.parts.operations.fakehosts import Killed, failing, no_fault


def differences(site: Site, fix: bool = False) -> list[str]:
    """Their words; with fix, what may be done is done."""
    facts = reconcile.gather(site.remote, site.hosts)
    found = list(reconcile.compare(facts, site.remote, site.hosts))
    for difference in found:
        if fix and difference.fix:
            difference.fix()
    return [difference.words for difference in found]


@pytest.fixture
def up(site: Site) -> Site:
    """remus runs on host1, romulus is off; nothing is different."""
    for name in ("remus", "romulus"):
        site.create(name)
    site.submit("boot", "remus")
    assert differences(site) == []
    return site


def test_a_reservation_without_a_guest(up: Site) -> None:
    up.hosts.hosts[HOST1].running.clear()
    assert differences(up, fix=True) == ["remus is off, but its memory is reserved on host1"]
    assert differences(up) == []
    up.check()


def test_a_guest_that_is_not_expected_is_left_running(up: Site) -> None:
    up.hosts.hosts[HOST2].running |= {"romulus", "stranger"}
    assert differences(up, fix=True) == [
        "romulus runs on host2, but the database has it off",
        "guest stranger runs on host2, but there is no such machine",
    ]
    assert len(up.hosts.running()) == 3


def test_a_guest_that_runs_elsewhere_keeps_its_reservation(up: Site) -> None:
    up.hosts.hosts[HOST1].running.clear()
    up.hosts.hosts[HOST2].running.add("remus")
    assert differences(up, fix=True) == ["remus runs on host2, but the database has it host1"]
    assert up.homes()["remus"] == HOST1


def test_a_guest_that_runs_twice_is_an_alarm(up: Site) -> None:
    up.hosts.hosts[HOST2].running.add("remus")
    assert differences(up, fix=True) == ["ALARM: remus runs twice, on host1 and host2"]
    assert len(up.hosts.running()) == 2


def test_volumes_without_a_machine_go_to_the_trash(up: Site) -> None:
    up.hosts.volumes["romulus", "hdc"] = 3
    up.hosts.volumes["nobody", "hda"] = 4
    assert differences(up, fix=True) == [
        "volume hda of nobody (4 GiB) in pool default belongs to no machine",
        "volume hdc of romulus (3 GiB) in pool default belongs to no machine",
    ]
    assert sorted(up.hosts.trash.values()) == [3, 4]
    assert differences(up) == []
    up.check()


def test_a_volume_that_may_be_in_use_is_left(up: Site) -> None:
    """As after a restore: of a guest, or a disk, that the database doesn't know."""
    up.hosts.hosts[HOST2].running.add("stranger")
    for place in (("stranger", "hda"), ("remus", "hdc")):
        up.hosts.volumes[place] = 3
    found = differences(up, fix=True)
    assert sum("belongs to no machine" in words for words in found) == 2
    up.hosts.hosts[HOST2].running.clear()
    up.hosts.hosts[HOST2].up = False
    found = differences(up, fix=True)
    assert sum("belongs to no machine" in words for words in found) == 2
    assert not up.hosts.trash
    up.hosts.hosts[HOST2].up = True
    differences(up, fix=True)
    assert list(up.hosts.trash.values()) == [3], "of the one that is off by now"


def test_a_disk_that_belongs_to_a_machine_is_never_trashed(up: Site) -> None:
    with pytest.raises(BadInput, match="belongs to a machine"):
        submit(
            "volume-trash",
            Actor(ALICE, administrator=True),
            "remus",
            {"disk": "hda", "size": 1},
            hosts=up.hosts,
        )
    up.check()


def test_disks_without_a_volume_or_of_another_size_are_told(up: Site) -> None:
    up.hosts.volumes["remus", "hda"] = 7
    del up.hosts.volumes["romulus", "hda"]
    assert differences(up, fix=True) == [
        "disk hda of remus has 7 GiB, the database says 1",
        "ALARM: disk hda of romulus has no volume",
    ]


def test_silent_hosts_are_told_and_their_reservations_kept(up: Site) -> None:
    up.hosts.hosts[HOST1].up = False
    [words] = differences(up, fix=True)
    assert words.startswith("host host1 does not answer")
    assert up.homes()["remus"] == HOST1
    up.hosts.hosts[HOST2].up = False
    assert "no host could list the volumes of pool default" in differences(up)


def test_what_an_operation_is_at_is_no_difference(up: Site) -> None:
    up.hosts.fault = failing("remove", "after", Killed)  # type: ignore[arg-type]
    with suppress(Killed):
        up.submit("delete", "romulus")
    up.hosts.fault = no_fault
    assert differences(up) == []
    up.recover()
    assert differences(up) == []


def test_a_host_gone_mad_is_a_silent_one(up: Site) -> None:
    for nonsense in ("", "null", "[1]", '[{"name": 3, "state": "off"}]', '{"a": 1}', "[" * 100000):
        up.hosts.hosts[HOST2].nonsense = nonsense
        [words] = differences(up)
        assert words.startswith("host host2 does not answer")


def test_the_timer_gives_memory_back(up: Site) -> None:
    assert up.turn() == []
    up.hosts.hosts[HOST1].running.clear()
    assert up.turn() == ["remus is off, but its memory is reserved on host1"]
    up.check()


def test_a_machine_that_moved_meanwhile_keeps_its_reservation(up: Site) -> None:
    up.hosts.hosts[HOST1].running.clear()
    facts = reconcile.gather(up.remote, up.hosts)
    up.submit("boot", "remus")
    for difference in reconcile.compare(facts, up.remote, up.hosts):
        if difference.fix:
            difference.fix()
    up.check()
    assert up.homes()["remus"] is not None
