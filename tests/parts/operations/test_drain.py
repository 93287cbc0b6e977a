"""`admin host drain`: what ran there runs elsewhere, and what can't goes on where it is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from invirt.remote import clock, drain, lost
from invirt.remote.operations import begin
from invirt.remote.operations.model import Actor
from tests.parts.operations.conftest import ALICE, HOST1, HOST2, Site
from tests.parts.operations.fakehosts import failing

ADMIN = Actor("root/admin@INVIRT.TEST", administrator=True)
OPEN = "SELECT count(*) FROM operations WHERE state IN ('running', 'undoing')"


class Service:
    """Whenever somebody waits, operations that were begun are done, and how many there were is kept."""

    def __init__(self, site: Site) -> None:
        self.site, self.open = site, list[int]()

    def monotonic(self) -> float:
        return 1.0 * len(self.open)

    def sleep(self, _: float) -> None:
        [(number,)] = self.site.rows(OPEN)
        assert isinstance(number, int)
        self.open.append(number)
        self.site.recover()


@pytest.fixture
def service(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """Three machines run on the first host."""
    made = Service(site)
    monkeypatch.setattr(clock, "current", made)
    site.rows("UPDATE hosts SET enabled = (name = 'host1')")
    for name in ("m1", "m2", "m3"):
        site.create(name, memory=128)
        site.submit("boot", name)
    site.rows("UPDATE hosts SET enabled = true")
    assert set(site.homes().values()) == {HOST1}
    yield made
    site.check()


def drained(site: Site) -> dict[str, tuple[str, str]]:
    found = drain.drain(site.remote, site.hosts, "host1", ADMIN, lambda _: None)
    return {row["machine"]: (row["host"], row["what"]) for row in found}


def test_a_host_is_emptied(site: Site, service: Service) -> None:
    moved = ("host2", "it has moved to host2")
    assert drained(site) == {"m1": moved, "m2": moved, "m3": moved}
    assert site.homes() == {"m1": HOST2, "m2": HOST2, "m3": HOST2}
    assert max(service.open) == 2
    assert site.rows("SELECT name::text, enabled FROM hosts ORDER BY 1") == [
        ("host1", False),
        ("host2", True),
    ]
    assert drained(site) == {}


def test_one_that_fails_holds_up_nobody(site: Site, service: Service) -> None:
    site.hosts.fault = failing("receive")
    stay = drained(site)
    assert {host for host, _ in stay.values()} == {""} and set(site.homes().values()) == {HOST1}
    assert all("failed as it was told" in what for _, what in stay.values())
    site.hosts.fault = lambda *_: None
    site.rows("UPDATE hosts SET memory = 300 WHERE name = 'host2'")
    found = drained(site)
    assert [host for host, _ in found.values()].count("host2") == 2
    [left] = [what for host, what in found.values() if not host]
    assert "host2" in left and lost.left_off([{"host": ""}]) != 0
    assert sorted(site.homes().values()) == [HOST1, HOST2, HOST2]


def test_moves_that_were_begun_before_are_waited_for(site: Site, service: Service) -> None:
    """As by a drain that was cut off."""
    begin("migrate", Actor(ALICE, administrator=True), "m2", hosts=site.hosts, connection=site.remote)
    assert drained(site)["m2"] == ("host2", "it has moved to host2")
    assert max(service.open) == 2
