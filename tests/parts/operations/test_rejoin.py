"""A host comes back into service: it runs nothing that is elsewhere, and has its pools, and the time."""

from __future__ import annotations

import pytest

from invirt.base.errors import Busy, InvirtError
from invirt.remote import rejoin
from invirt.remote.operations import silence
from tests.parts.operations.conftest import HOST1, OWN_POOL, Site
from tests.parts.operations.fakedisks import FakePool
from tests.parts.operations.fakeguests import FakeHost
from tests.parts.operations.losing import NAMES, SIGN, die, is_lost, lose, up

__all__ = ["up"]  # a fixture


@pytest.fixture
def back(up: Site) -> FakeHost:
    """host1 was lost, its machines run on host2, and it is up again."""
    host = die(up)
    lose(up)
    up.recover()
    host.up = True
    up.rows(SIGN, 1, HOST1)
    return host


def come(site: Site) -> str:
    return rejoin.rejoin(site.remote, site.hosts, "host1", silence)


def refused(site: Site, why: str, error: type[InvirtError] = Busy) -> None:
    with pytest.raises(error, match=why):
        come(site)
    assert is_lost(site)


def test_one_that_wakes_with_guests_is_told_and_does_not_rejoin(up: Site) -> None:
    """An administrator was wrong: until its guests are ended there, nothing is booted a second time."""
    host = up.hosts.hosts[HOST1]
    host.up = False
    lose(up)
    host.up = True
    refused(up, "runs what has no reservation there: m1, m2, m3")


def test_it_rejoins(up: Site, back: FakeHost) -> None:
    assert come(up).startswith("host1 is in service")
    assert not is_lost(up)
    assert come(up), "a second time"
    up.check()


def test_one_that_is_silent_does_not(up: Site, back: FakeHost) -> None:
    up.rows("DELETE FROM host_signs")
    refused(up, "tells the database nothing")


def test_nor_one_that_talks_nonsense(up: Site, back: FakeHost) -> None:
    for nonsense, what in (("?", "JSON"), ("[]", "what it is"), ("{}", "a list of guests")):
        back.nonsense = nonsense
        refused(up, f"answers, but not with {what}", InvirtError)


def test_it_is_what_it_was(up: Site, back: FakeHost) -> None:
    back.hypervisor = "xen"
    up.rows("UPDATE hosts SET hypervisor = 'qemu'")
    refused(up, "runs xen, but the database has it as one of qemu", InvirtError)


@pytest.mark.parametrize("ahead", [-100.0, 3600.0, float("nan")])
def test_it_knows_the_time(up: Site, back: FakeHost, ahead: float) -> None:
    """What it writes, and whose tickets it takes, depends on that."""
    back.ahead = ahead
    refused(up, "the clock of host1 is (100|3600|nan) s off")
    back.behind = True  # one of the version before doesn't tell
    come(up)


def test_nothing_is_mounted(up: Site, back: FakeHost) -> None:
    """The folder is there, and empty; or it is an older copy."""
    pool = up.hosts.pools["default"]
    kept = dict(pool.volumes)
    pool.volumes.clear()
    refused(up, "doesn't see the pool default as it is: it lacks hda of m1, hda of m2, hda of m3")
    pool.volumes.update(kept)
    pool.volumes["m2", "hda"] = 9
    refused(up, "it lacks hda of m2")
    pool.volumes.update(kept)
    come(up)


def test_a_pool_of_its_own(up: Site, back: FakeHost) -> None:
    up.rows(OWN_POOL.replace("host2", "host1"))
    for name in NAMES:
        up.submit("destroy", name)
    up.rows("UPDATE disks SET pool_id = (SELECT max(pool_id) FROM pools)")
    up.hosts.pools["own"] = FakePool(seen_by=(HOST1,))
    refused(up, "the pool own as it is: it lacks hda of m1")
    up.hosts.pools["own"].volumes = {(f"m{number}", "hda"): 1 for number in (1, 2, 3)}
    up.hosts.pools["default"].volumes.clear()
    come(up)
