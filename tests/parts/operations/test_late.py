"""Commands that come late, or a second time: the host has seen a higher token, and does nothing."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from invirt.base.errors import Busy, Unreachable
from invirt.remote.hosts import NoAnswer
from invirt.remote.operations import recovery, silence
from tests.parts.operations.conftest import HOST1, HOST2, Site
from tests.parts.operations.fakehosts import FakeHosts, Killed, failing, no_fault

NEWEST = "SELECT kind, state FROM operations ORDER BY operation_id DESC LIMIT 1"


def test_a_command_that_comes_after_its_undoing_does_nothing(site: Site) -> None:
    """Undoing takes a new token, so the host refuses the delayed command."""
    site.create("remus")

    def delay(when: str, hostname: str, words: tuple[str, ...]) -> None:
        if words[:2] == ("domain", "create"):
            raise site.hosts.lose(hostname, words)

    site.hosts.fault = delay
    with pytest.raises(NoAnswer):
        site.submit("boot", "remus")
    assert len(site.hosts.late) == 1
    assert site.hosts.deliver() == 0
    site.check()


@pytest.mark.parametrize("verb", ["shutdown", "destroy", "reboot"])
def test_what_was_given_up_is_not_done_late(site: Site, verb: str) -> None:
    """The host can't be reached for a while: until it can, the machine is busy, and says with what."""
    site.create("remus")
    site.submit("boot", "remus")

    def delay(when: str, hostname: str, words: tuple[str, ...]) -> None:
        if words[:2] == ("domain", verb):
            site.hosts.hosts[hostname].up = False
            raise site.hosts.lose(hostname, words)

    site.hosts.fault = delay
    with pytest.raises(NoAnswer) as caught:
        site.submit(verb, "remus")
    assert "will be undone" in caught.value.hint
    with pytest.raises(Busy, match=rf"{verb} of remus by .* is being undone \(no answer from host1"):
        site.submit("destroy", "remus")
    site.hosts.hosts[HOST1].up = True
    site.recover()
    assert site.rows(NEWEST) == [(verb, "undone")]
    assert site.hosts.deliver() == 0
    assert site.hosts.running() == [(HOST1, "remus")]
    site.check()


LATE = {
    "create": ("volume", "create"),
    "boot": ("domain", "create"),
    "rename": ("volume", "rename"),
    "purge": ("volume", "purge"),
    "undelete": ("volume", "undelete"),
}


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("kind", LATE)
def test_what_was_resolved_by_hand_is_not_done_late(site: Site, kind: str, done: bool) -> None:
    """Its worker died, and the command is still on its way; nothing is written before the host knows."""

    def delay(when: str, hostname: str, words: tuple[str, ...]) -> None:
        if words[:2] == LATE[kind]:
            site.hosts.lose(hostname, words)
            raise Killed

    wants: dict[str, Any] = {"memory": 128, "disk": 1} if kind == "create" else {}
    if kind != "create":
        site.create("remus")
    if kind == "rename":
        wants = {"name": "romulus"}
    if kind in ("purge", "undelete"):
        site.submit("delete", "remus")
        wants = {"trash": site.trashed()}
    site.hosts.fault = delay
    with suppress(Killed):
        site.submit(kind, "remus", **wants)
    site.expire()
    [(number,)] = site.rows("SELECT operation_id FROM operations WHERE finished_at IS NULL")
    resolve = partial(recovery.resolve, site.remote, site.hosts, int(str(number)), done, silence)
    for host in site.hosts.hosts.values():
        host.up = False
    with pytest.raises(Unreachable) as caught:
        resolve()
    assert "If it never comes back: --gone host" in caught.value.hint
    assert site.rows(NEWEST) == [(kind, "running")]
    for host in site.hosts.hosts.values():
        host.up = True
    assert resolve().state == ("done" if done else "undone")
    assert site.hosts.deliver() == 0


def test_a_host_that_is_gone_for_good_is_told_nothing(site: Site) -> None:
    site.hosts.fault = failing("create", "after", Killed)  # type: ignore[arg-type]
    with suppress(Killed):
        site.create("remus")
    site.expire()
    for host in site.hosts.hosts.values():
        host.up = False
    assert recovery.resolve(site.remote, site.hosts, 1, False, silence, ["host1", "host2"]).state == "undone"


class Obliging(FakeHosts):
    """Hosts that refuse only what is older than the newest that they saw."""

    def too_late(self, token: int, seen: int) -> bool:
        """See FakeHosts."""
        return token < seen


@pytest.mark.parametrize("hosts", [Obliging, FakeHosts])
def test_a_finished_command_that_comes_again_does_nothing(site: Site, hosts: type[FakeHosts]) -> None:
    """Not even where no later command was: here the guest went to another host by itself."""
    site.hosts = hosts(HOST1, HOST2)
    site.create("remus")

    def repeat(when: str, hostname: str, words: tuple[str, ...]) -> None:
        if (when, *words[:2]) == ("after", "domain", "create"):
            site.hosts.lose(hostname, words)

    site.hosts.fault = repeat
    site.submit("boot", "remus")
    site.hosts.fault = no_fault
    site.hosts.hosts[HOST1].running.clear()  # it powered itself off
    site.rows("UPDATE hosts SET enabled = false WHERE name = 'host1'")
    site.submit("boot", "remus")
    assert site.hosts.deliver() == (hosts is Obliging)
    homes = [(HOST1, "remus"), (HOST2, "remus")]
    assert site.hosts.running() == (homes if hosts is Obliging else homes[1:])
