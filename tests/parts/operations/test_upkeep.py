"""`admin host update`: one host after the other, each emptied before, and back in service after."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest

from invirt.base.errors import BadInput, Busy, NotFound
from invirt.remote import clock, fleet, upkeep
from tests.parts.operations.conftest import ALICE, HOST1, HOST2, Site
from tests.parts.operations.fakehosts import Killed, failing
from tests.parts.operations.upgrading import Upgrading

WHOLE = ["fetch", "install", "check"]


class Time:
    """Passes while somebody waits; then the services do what was begun, and hosts tell that they live."""

    def __init__(self, site: Site) -> None:
        self.site, self.now = site, 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.site.recover()


@pytest.fixture
def hosts(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Upgrading]:
    """A machine runs on each."""
    monkeypatch.setattr(clock, "current", Time(site))
    site.rows("INSERT INTO host_signs (host_id, seen_at) SELECT host_id, 'infinity' FROM hosts")
    for name in ("m1", "m2"):
        site.create(name, memory=128)
        site.submit("boot", name)
    assert set(site.homes().values()) == {HOST1, HOST2}
    yield Upgrading(site.hosts)
    site.check()
    assert len(site.hosts.running()) == 2, "a guest was stopped"


def update(site: Site, hosts: Upgrading, *names: str, reboot: str = "needed") -> list[str]:
    """Have it begun and done; what the service said of failures."""
    upkeep.begin(site.remote, "update", names, reboot, ALICE)
    return turn(site, hosts)


def turn(site: Site, hosts: Upgrading) -> list[str]:
    said: list[str] = []
    upkeep.turn(site.remote, hosts, said.append)
    return said


def steps(site: Site) -> dict[str, str]:
    return {row["host"]: row["step"] for row in upkeep.rows(site.remote, "update")}


def enabled(site: Site) -> list[object]:
    return [name for (name,) in site.rows("SELECT name::text FROM hosts WHERE enabled ORDER BY 1")]


def test_one_after_the_other(site: Site, hosts: Upgrading) -> None:
    """Only what needs it is booted anew, and it is waited for."""
    hosts.packages[HOST2].kernel = True
    assert update(site, hosts) == []
    assert hosts.order == [
        *(("host1", what) for what in WHOLE),
        *(("host2", what) for what in ("fetch", "install", "reboot", "check")),
    ]
    assert steps(site) == {"host1": "done", "host2": "done"} and enabled(site) == ["host1", "host2"]
    hosts.order.clear()
    homes = site.homes()
    assert update(site, hosts) == []
    assert hosts.order == [("host1", "fetch"), ("host2", "fetch")], "one with nothing to do was emptied"
    assert site.homes() == homes
    assert update(site, hosts, "host2", reboot="always") == []
    assert hosts.packages[HOST2].boots == 3 and hosts.packages[HOST1].boots == 1


def test_it_stops_at_the_first_that_fails(site: Site, hosts: Upgrading) -> None:
    """It says which, why and what next; said again, it goes on there."""
    hosts.packages[HOST1].broken = True
    [said] = update(site, hosts)
    assert said.startswith(
        "update of host1: install: host1.invirt.test: install failed: dpkg: error processing package broken"
    )
    [first, second] = upkeep.rows(site.remote, "update")
    assert first["failed"] and "Then go on: admin host update host1" in first["todo"]
    assert "Setting up broken" in first["todo"]
    assert (first["step"], second["step"]) == ("install", "wait") and enabled(site) == ["host2"]
    assert turn(site, hosts) == [] and hosts.packages[HOST2].begun == [], "it went on by itself"
    hosts.packages[HOST1].broken = False
    assert update(site, hosts) == []
    assert hosts.order == [
        *(("host1", what) for what in ("fetch", "install", "install", "check")),
        *(("host2", what) for what in WHOLE),
    ]
    assert enabled(site) == ["host1", "host2"]


@pytest.mark.parametrize("wrong", ["drain", "check", "reboot", "rejoin"])
def test_what_fails_is_told_and_nothing_is_stopped(site: Site, hosts: Upgrading, wrong: str) -> None:
    if wrong == "drain":
        site.hosts.fault = failing("receive")
    elif wrong == "check":
        hosts.packages[HOST1].wrong = ["conserver-server.service: it has failed"]
    elif wrong == "reboot":
        hosts.packages[HOST1].kernel = hosts.packages[HOST1].never_back = True
    else:
        site.rows("DELETE FROM host_signs")
    assert len(update(site, hosts)) == 1
    [first, second] = upkeep.rows(site.remote, "update")
    assert (first["step"], second["step"]) == (wrong, "wait")
    told = {
        "drain": "1 of 1 machines can't move away (m",
        "check": "host1 is not well: conserver-server.service: it has failed",
        "reboot": "host1.invirt.test isn't back within 900 s",
        "rejoin": "host1 answers, but tells the database nothing",
    }
    assert first["failed"].startswith(told[wrong])
    site.hosts.fault = lambda *_: None
    hosts.packages[HOST1].never_back = False


def test_whoever_is_killed_at_any_moment_goes_on_where_it_was(site: Site, hosts: Upgrading) -> None:
    """Before and after each word to a host; nothing is installed under guests, nothing is booted twice."""
    for own in hosts.packages.values():
        own.kernel = True
    upkeep.begin(site.remote, "update", (), "always", ALICE)
    deaths = 0
    for at in range(1, 400):
        left = [at]

        def die(left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise Killed

        hosts.before = die
        with suppress(Killed):
            upkeep.turn(site.remote, hosts, pytest.fail)
            break
        deaths += 1
    assert deaths > 10
    assert steps(site) == {"host1": "done", "host2": "done"} and enabled(site) == ["host1", "host2"]
    assert [own.boots for own in hosts.packages.values()] == [2, 2]


def test_who_gives_up_has_the_host_rejoin(site: Site, hosts: Upgrading) -> None:
    """Until then no other host is begun; what is said of hosts that are none is refused."""
    hosts.packages[HOST1].broken = True
    update(site, hosts, "host1")
    with pytest.raises(Busy, match="the update of host1 was begun, and has not come to its end"):
        update(site, hosts, "host2")
    upkeep.forget(site.remote, HOST1)
    site.rows("UPDATE hosts SET enabled = true")
    assert update(site, hosts, "host2") == []
    with pytest.raises(NotFound, match="there is no host host3"):
        update(site, hosts, "host3")
    site.rows("UPDATE hosts SET enabled = false, lost_at = now(), lost_by = 'x' WHERE name = 'host2'")
    with pytest.raises(BadInput, match="host2 was lost"):
        update(site, hosts, "host2")
    site.rows("UPDATE hosts SET enabled = false")
    with pytest.raises(BadInput, match="no host is in service"):
        update(site, hosts)
    site.rows("UPDATE hosts SET enabled = true, lost_at = NULL, lost_by = NULL")


def test_who_waits_is_told_how_it_goes(site: Site, hosts: Upgrading, monkeypatch: pytest.MonkeyPatch) -> None:
    upkeep.begin(site.remote, "update", (), "needed", ALICE)
    said: list[str] = []
    site.rows("UPDATE upkeep SET step = 'check', told = 'check for 12 s: no answer' WHERE host_id ="
              " (SELECT host_id FROM hosts WHERE name = 'host1')")  # fmt: skip
    monkeypatch.setattr(fleet, "LOOK", 0.0)
    passing = clock.current.sleep
    monkeypatch.setattr(clock.current, "sleep", lambda some: passing(some) if some else turn(site, hosts))
    fleet.follow(site.remote, "update", said.append)
    assert said[0] == "host 1 of 2: host1 is checked: check for 12 s: no answer"


def test_a_drain_that_nobody_waits_for(site: Site, hosts: Upgrading) -> None:
    upkeep.begin(site.remote, "drain", ["host1"], "never", ALICE)
    assert turn(site, hosts) == []
    assert set(site.homes().values()) == {HOST2} and enabled(site) == ["host2"]
    [row] = upkeep.rows(site.remote, "drain")
    assert row["step"] == "done"
