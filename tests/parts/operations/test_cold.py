"""A machine moves while it is off: its guest is asked to shut down, its disks go along where they must."""

from __future__ import annotations

import pytest

from invirt import config
from invirt.base.errors import BadInput, Busy, CommandFailed, InvirtError, NoRoom, NotFound
from tests.parts.operations.conftest import HOST1, HOST2, OWN_POOL, Site
from tests.parts.operations.fakedisks import FakePool
from tests.parts.operations.fakehosts import failing, no_fault

PLACES = "SELECT d.name::text, p.name::text FROM disks d JOIN pools p USING (pool_id) ORDER BY 1"
TRASH = """
SELECT owner_id, t.name::text, p.name::text FROM trash t JOIN trash_disks USING (trash_id)
    JOIN pools p USING (pool_id)
"""
HERE, THERE = ("remus", "hda"), {"remus": HOST2}


@pytest.fixture
def local(site: Site) -> Site:
    """remus runs on the second host; its disk holds something, where that host alone sees it."""
    site.rows(OWN_POOL)
    site.hosts.pools["own"] = FakePool(seen_by=(HOST2,), held={HERE: "something"})
    site.create("remus", pool="own")
    site.submit("boot", "remus")
    assert site.homes() == THERE
    return site


def copied(site: Site) -> bool:
    """Whether it has gone to the first host's pool; and if not, nothing has changed."""
    gone = site.rows(PLACES) == [("hda", "default")]
    assert gone or site.rows(PLACES) == [("hda", "own")]
    assert not gone or site.hosts.pools["default"].held[HERE] == "something"
    assert (site.rows(TRASH) == [(None, "remus", "own")]) is gone  # counts to nobody's quota
    site.check()
    return gone


def test_one_that_runs_is_shut_down_and_boots_there(site: Site) -> None:
    site.create("remus")
    site.submit("boot", "remus")
    site.submit("cold-migrate", "remus")
    assert site.homes() == THERE
    assert [
        words[2] if words[1] == "domain" else words[5]
        for words in site.hosts.calls
        if words[1:3] == ("domain", "shutdown") or words[1:3] == ("job", "begin")
    ][-2:] == ["shutdown", "create"]
    assert site.rows("SELECT wanted_on FROM machines") == [(True,)]
    site.check()


def test_what_the_other_host_doesnt_see_is_copied(local: Site) -> None:
    local.submit("cold-migrate", "remus")
    assert local.homes() == {"remus": HOST1} and copied(local)


def test_of_one_that_is_off_the_disks_go(local: Site) -> None:
    local.submit("destroy", "remus")
    local.submit("cold-migrate", "remus", host="host1")
    assert local.homes() == {"remus": None} and copied(local)


def test_one_that_doesnt_obey_runs_on(local: Site) -> None:
    with local.database.config.open("a") as file:
        file.write("  shutdown_timeout: 1\n")
    config.reload()
    local.hosts.hosts[HOST2].deaf.add("remus")
    with pytest.raises(InvirtError, match="still running after 1 seconds"):
        local.submit("cold-migrate", "remus")
    assert local.homes() == THERE and not copied(local)


def test_one_whose_disk_cant_be_made_is_not_even_shut_down(local: Site) -> None:
    local.hosts.fault = failing("receive")
    with pytest.raises(CommandFailed, match="failed as it was told"):
        local.submit("cold-migrate", "remus")
    assert not any("shutdown" in words for words in local.hosts.calls)


def test_it_boots_before_a_target_that_is_gone_is_waited_for(local: Site) -> None:
    """What there may be of the copy is cleared away when that is back."""

    def dies(when: str, hostname: str, words: tuple[str, ...]) -> None:
        if words[1] == "send":
            local.hosts.hosts[HOST1].up = False

    local.hosts.fault = dies
    with pytest.raises(CommandFailed, match="doesn't expect"):
        local.submit("cold-migrate", "remus")
    assert local.hosts.running() == [(HOST2, "remus")]
    local.hosts.fault, local.hosts.hosts[HOST1].up = no_fault, True
    local.recover()
    assert local.homes() == THERE and not copied(local)


@pytest.mark.parametrize("verb", ["receive", "send"])
def test_it_boots_again_where_it_was_if_the_copy_fails(local: Site, verb: str) -> None:
    local.hosts.fault = failing(verb)
    with pytest.raises(CommandFailed, match="failed as it was told"):
        local.submit("cold-migrate", "remus")
    local.hosts.fault = no_fault
    assert local.homes() == THERE and not copied(local)
    local.submit("cold-migrate", "remus")
    assert local.homes() == {"remus": HOST1}
    local.check()


def test_what_cant_be_is_refused_before_anything_is_done(local: Site) -> None:
    before = len(local.hosts.calls)
    local.rows("UPDATE hosts SET memory = 100 WHERE name = 'host1'")
    refused = (
        ({}, NoRoom, "no host has room"),
        ({"host": "host1"}, NoRoom, "no host has room"),
        ({"host": "host2"}, BadInput, "remus runs on host2 already"),
        ({"host": "host3"}, NotFound, "there is no host host3"),
    )
    for wants, kind, why in refused:
        with pytest.raises(kind, match=why):
            local.submit("cold-migrate", "remus", **wants)
    local.submit("destroy", "remus")
    for wants, why in (({}, "remus is off"), ({"host": "host2"}, "there is nothing to move")):
        with pytest.raises(BadInput, match=why):
            local.submit("cold-migrate", "remus", **wants)
    assert {words[2] for words in local.hosts.calls[before:]} == {"status", "begin", "destroy"}
    assert not copied(local)


def test_a_live_move_offers_it(local: Site) -> None:
    with pytest.raises(BadInput, match="no other host than host2 sees the pool own") as caught:
        local.submit("migrate", "remus")
    assert "admin machine migrate remus --off" in caught.value.hint
    with pytest.raises(Busy):
        local.submit("migrate", "remus") if local.submit("destroy", "remus") else None
