"""A host is lost while machines move from it, or to it."""

from __future__ import annotations

import itertools

import pytest

from tests.parts.operations import moving
from tests.parts.operations.conftest import HOST1, HOST2, Site
from tests.parts.operations.losing import cut_off, die, lose, up

__all__ = ["up"]  # a fixture
KINDS = "SELECT kind, state FROM operations WHERE machine_name = 'm2' ORDER BY operation_id DESC LIMIT %s"
STEPS = itertools.product((HOST1, HOST2), ("receive", "send", "arrive"), ("before", "after"))


def rest(site: Site) -> None:
    """All comes to its end."""
    for _ in range(3):
        site.recover()
    site.check()


@pytest.mark.parametrize("dies", [HOST1, HOST2])
@pytest.mark.parametrize("pivot", ["before", "after"])
def test_amid_steps_on_both(up: Site, monkeypatch: pytest.MonkeyPatch, dies: str, pivot: str) -> None:
    """Source or target, on either side of the pivot: it ends, and the machine runs once."""
    moving.install(monkeypatch)
    cut_off(up, "move", "m2", "destroy", dies=dies, when=pivot)
    lose(up, hostname=dies)
    rest(up)
    assert up.homes()["m2"] == (HOST2 if dies == HOST1 else HOST1)


@pytest.mark.parametrize(("dies", "step", "when"), STEPS)
def test_amid_a_migration(up: Site, dies: str, step: str, when: str) -> None:
    """Either host, at each step: the machine runs once, on the one that is left."""
    cut_off(up, "migrate", "m2", step, dies=dies, when=when)
    lose(up, hostname=dies)
    rest(up)
    assert up.homes()["m2"] == (HOST2 if dies == HOST1 else HOST1)


def test_what_was_handed_over_goes_on(up: Site) -> None:
    """The source dies before it could say so, the target knows: the guest there is not ended."""
    cut_off(up, "migrate", "m2", "send", when="after")
    asked = len(up.hosts.calls)
    assert lose(up) == ["m1 host2", "m3 host2"]
    assert up.rows(KINDS, 1) == [("migrate", "done")]
    assert not [call for call in up.hosts.calls[asked:] if "m2" in call and {"destroy", "create"} & {*call}]
    rest(up)


def test_what_waits_without_the_word_boots_anew(up: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it is on the target, but the source may have gone on with it: it is older than its disk."""
    monkeypatch.setattr(up.hosts, "word_comes", lambda: False)
    cut_off(up, "migrate", "m2", "send", when="after")
    assert up.hosts.hosts[HOST2].waiting == {"m2"}
    assert lose(up) == ["m1 host2", "m2 host2", "m3 host2"]
    assert up.rows(KINDS, 2)[1] == ("migrate", "undone")
    assert not up.hosts.hosts[HOST2].waiting
    rest(up)


def test_what_only_a_silent_target_knows_is_waited_for(up: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may run there: nothing is booted until it is known."""
    monkeypatch.setattr("invirt.remote.lost.SETTLE", 0.0)
    cut_off(up, "migrate", "m2", "send", when="after")
    up.hosts.hosts[HOST2].up = False
    assert "m2 host2" not in lose(up)
    up.recover()
    assert up.rows(KINDS, 1) == [("migrate", "running")]
    up.hosts.hosts[HOST2].up = True
    up.recover()
    assert up.rows(KINDS, 1) == [("migrate", "done")]
    rest(up)


def test_both_are_lost(up: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the machine is off for certain, and boots on the first that is back."""
    monkeypatch.setattr("invirt.remote.lost.SETTLE", 0.0)
    cut_off(up, "migrate", "m2", "send", when="after")
    die(up, HOST2)
    lose(up)
    lose(up, hostname=HOST2)
    up.recover()
    assert up.rows("SELECT state FROM operations WHERE kind = 'migrate'") == [("undone",)]
    assert up.homes()["m2"] is None
    for host in up.hosts.hosts.values():
        host.up = True
    up.rows("UPDATE hosts SET lost_at = NULL, lost_by = NULL")
    rest(up)
    assert up.homes()["m2"]
