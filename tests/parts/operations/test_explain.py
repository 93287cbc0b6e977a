"""Why a machine is where it is, or where it would go, and what the other hosts lack."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from invirt.base.errors import NotFound
from invirt.base.names import MachineName
from invirt.remote import apart, explain, session
from invirt.remote.actor import Actor
from tests.parts.operations.conftest import ALICE, BOB, Site

REMUS, ROMULUS = MachineName("remus"), MachineName("romulus")


@pytest.fixture
def rome(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """alice's remus runs on host1; romulus is off, and kept apart from it."""
    monkeypatch.setattr(explain, "RemctlHosts", lambda: site.hosts)
    for name in (REMUS, ROMULUS):
        site.create(name, memory=128)
    site.submit("boot", REMUS)
    with closing(session.connected()):
        apart.apart(Actor(ALICE), REMUS, ROMULUS)
        yield site


def said(name: MachineName, who: str = ALICE) -> dict[str, str]:
    return {one["host"]: one["says"] for one in explain.explain(Actor(who), name)["hosts"]}


def test_of_one_that_runs(rome: Site) -> None:
    rome.rows("UPDATE hosts SET enabled = false WHERE name = 'host2'")
    told = said(REMUS)
    assert told["host1"].startswith("it is here since ") and f"by boot of {ALICE}" in told["host1"]
    assert told["host1"].endswith("it was the least used: 0 of 512 MiB were in use")
    assert told["host2"] == "is disabled"


def test_of_one_that_is_off(rome: Site) -> None:
    """It says where it goes, and goes there."""
    assert said(ROMULUS) == {
        "host1": "runs a machine that it is kept apart from",
        "host2": "it would be booted here",
    }
    rome.submit("boot", ROMULUS)
    assert said(ROMULUS)["host2"].startswith("it is here")
    rome.submit("destroy", ROMULUS)
    rome.rows("UPDATE hosts SET memory = 100 WHERE name = 'host2'")
    assert said(ROMULUS)["host2"] == "100 of 100 MiB are free, 128 are wanted"


def test_who_may_know(rome: Site) -> None:
    """Whoever may boot it; no other machine is named to them."""
    with pytest.raises(NotFound):
        said(ROMULUS, BOB)
    rome.rows("INSERT INTO machine_access SELECT machine_id, %s FROM machines WHERE name = 'romulus'", BOB)
    assert "remus" not in str(said(ROMULUS, BOB))
