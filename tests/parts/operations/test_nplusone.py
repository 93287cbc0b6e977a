"""A boot after which a host's death could not be absorbed: refused, warned of, or neither."""

from __future__ import annotations

import pytest

from invirt import config
from invirt.base.errors import NoRoom
from invirt.remote import reconcile, wanted
from tests.parts.operations.conftest import HOST1, Site

LOST = (
    "should host1 die, machines of 128 MiB would have no room elsewhere;"
    " should host2 die, machines of 256 MiB would have no room elsewhere"
)


@pytest.fixture
def edge(site: Site) -> Site:
    """Half of each host is used, and m3 is off."""
    site.create("m1", memory=256)
    site.rows("UPDATE owners SET memory = 5000")
    site.create("m2", memory=256)
    site.create("m3", memory=128)
    for name in ("m1", "m2"):
        assert "warning" not in site.submit("boot", name).steps[0].detail
    return site


def rule(site: Site, word: str) -> None:
    file = site.database.config
    file.write_text(file.read_text().replace("remote:\n", f"remote:\n  n_plus_one: {word}\n"))
    config.reload()


def test_it_is_warned_of(edge: Site) -> None:
    """By what is usual; the next one is, too."""
    [step] = edge.submit("boot", "m3").steps
    assert step.detail["warning"] == f"N+1 is broken: {LOST}"


def test_it_is_refused(edge: Site) -> None:
    rule(edge, "refuse")
    with pytest.raises(NoRoom, match=f"with this machine {LOST}"):
        edge.submit("boot", "m3")
    assert edge.homes()["m3"] is None
    edge.submit("destroy", "m2")
    edge.submit("boot", "m3")
    edge.check()


def test_it_is_no_matter(edge: Site) -> None:
    rule(edge, "ignore")
    assert "warning" not in edge.submit("boot", "m3").steps[0].detail


def test_of_one_host_nothing_is_said(edge: Site) -> None:
    edge.submit("destroy", "m2")
    edge.rows("UPDATE hosts SET enabled = (name = 'host1')")
    rule(edge, "refuse")
    edge.submit("boot", "m3")


def test_what_was_wanted_on_comes_back(edge: Site) -> None:
    edge.submit("boot", "m3")
    rule(edge, "refuse")
    edge.hosts.hosts[HOST1].crash("m1")
    edge.turn()
    assert (HOST1, "m1") in edge.hosts.running()
    assert wanted.to_boot(edge.remote, reconcile.gather(edge.remote, edge.hosts, volumes=False)) == []
    edge.check()
