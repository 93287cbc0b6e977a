"""What the service and administrators do about operations that were left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from typing import Any

import psycopg2
import pytest

from invirt.base.errors import BadInput, Busy, CommandFailed, InvirtError, NoRoom, Unreachable
from invirt.database import connection
from invirt.database.connection import connect, transaction
from invirt.remote.hosts import Answer, NoAnswer
from invirt.remote.lines import PATIENCE
from invirt.remote.operations import recovery, silence, store
from invirt.remote.operations.engine import ATTEMPTS
from invirt.remote.operations.model import Operation
from tests.parts.operations.conftest import HOST1, HOST2, Site
from tests.parts.operations.fakehosts import FakeHosts, Killed, failing, no_fault

HOST3 = "host3.invirt.test"


def states(site: Site) -> list[tuple[object, ...]]:
    return site.rows("SELECT kind, state FROM operations ORDER BY operation_id")


def newest(site: Site) -> int:
    return int(str(site.rows("SELECT max(operation_id) FROM operations")[0][0]))


def stick(site: Site) -> int:
    """A create that can be neither done nor undone."""

    def full(when: str, hostname: str, words: tuple[str, ...]) -> None:
        if words[0] == "volume":
            raise CommandFailed(f"{hostname}: disk is full")

    site.hosts.fault = full
    with pytest.raises(InvirtError, match="disk is full"):
        site.create("remus")
    for _ in range(ATTEMPTS):
        site.recover()
    assert states(site) == [("create", "stuck")]
    return newest(site)


def test_undoing_that_fails_again_and_again_is_stuck(site: Site) -> None:
    number = stick(site)
    with pytest.raises(
        Busy, match=r"operation \d+ \(create of remus by alice@INVIRT\.TEST\) is stuck: .*full"
    ):
        site.submit("boot", "remus")
    site.recover()
    assert states(site) == [("create", "stuck")]
    site.hosts.fault = no_fault
    done = recovery.retry(site.remote, site.hosts, number, silence)
    assert (done.state, site.homes()) == ("undone", {})
    site.check()


def test_resolve_as_undone_brings_the_rows_up_to_it(site: Site) -> None:
    number = stick(site)
    calls = len(site.hosts.calls)
    assert recovery.resolve(site.remote, site.hosts, number, False, silence).state == "undone"
    assert [call[1:4] for call in site.hosts.calls[calls:]] == [("domain", "fence", "remus")]
    assert site.homes() == {}
    with pytest.raises(BadInput, match="is undone already"):
        recovery.retry(site.remote, site.hosts, number, silence)


def test_resolve_as_done_brings_the_rows_up_to_it(site: Site) -> None:
    number = stick(site)
    site.hosts.volumes["remus", "hda"] = 1
    assert recovery.resolve(site.remote, site.hosts, number, True, silence).state == "done"
    site.hosts.fault = no_fault
    site.check()


def test_undo_of_one_that_nobody_works_on(site: Site) -> None:
    site.hosts.fault = failing("create", "after", Killed)  # type: ignore[arg-type]
    with suppress(Killed):
        site.create("remus")
    site.hosts.fault = no_fault
    with pytest.raises(Busy, match="is being worked on by"):
        recovery.undo(site.remote, site.hosts, newest(site), silence)
    site.expire()
    undone = recovery.undo(site.remote, site.hosts, newest(site), silence)
    assert (undone.state, site.homes()) == ("undone", {})
    site.check()


def test_what_a_dead_process_left_is_taken_up_at_once(site: Site) -> None:
    site.hosts.fault = failing("create", "after", Killed)  # type: ignore[arg-type]
    with suppress(Killed):
        site.create("remus")
    site.hosts.fault = no_fault
    assert recovery.run(site.remote, site.hosts) == []  # this process still lives
    server, pid, _ = store.this_process().split("/")
    site.rows("UPDATE operations SET lease_holder = %s", f"{server}/{pid}/earlier")
    assert [operation.state for operation in recovery.run(site.remote, site.hosts)] == ["done"]
    site.check()


def test_a_lease_that_was_prolonged_in_time_is_not_taken(site: Site) -> None:
    """The service looks first, and claims then: in between, whoever stood still may have gone on."""
    site.hosts.fault = failing("create", "after", Killed)  # type: ignore[arg-type]
    with suppress(Killed):
        site.create("remus")
    site.expire()
    with transaction(site.remote) as cursor:
        [left] = store.left_over(cursor)
    site.rows("UPDATE operations SET lease_until = now() + interval '1 minute'")
    with transaction(site.remote) as cursor:
        assert store.claim(cursor, left.number, "another.invirt.test/1/2", left.gone) is None


def test_what_a_resize_gives_up_is_kept_until_it_is_done(site: Site) -> None:
    """Else another machine could take it, and the resize could not be undone any more."""
    site.create("remus", memory=256)
    site.rows("UPDATE owners SET memory = 256")

    def fail(when: str, hostname: str, words: tuple[str, ...]) -> None:
        if words[1] == "resize":
            site.hosts.fault = no_fault
            with pytest.raises(NoRoom, match="quota of alice is 256 MiB"):
                site.create("romulus", memory=128)
            raise CommandFailed(f"{hostname}: disk is full")

    site.hosts.fault = fail
    with pytest.raises(CommandFailed, match="disk is full"):
        site.submit("resize", "remus", memory=128, disks={"hda": 2})
    assert site.rows("SELECT memory FROM machines") == [(256,)]
    site.check()
    site.submit("resize", "remus", memory=128, disks={"hda": 2})
    assert site.rows("SELECT memory FROM machines") == [(128,)]
    site.check()


def test_leases_of_other_servers_are_waited_for(site: Site) -> None:
    site.hosts.fault = failing("create", "after", Killed)  # type: ignore[arg-type]
    with suppress(Killed):
        site.create("remus")
    site.rows("UPDATE operations SET lease_holder = 'another.invirt.test/1/2'")
    assert recovery.run(site.remote, site.hosts) == []
    site.hosts.fault = no_fault
    site.recover()
    site.check()


def test_an_unreachable_host_is_waited_for_without_end(site: Site) -> None:
    site.create("remus")

    def die(when: str, hostname: str, words: tuple[str, ...]) -> None:
        if words[:2] == ("domain", "create"):
            site.hosts.hosts[hostname].up = False
            raise NoAnswer(f"no answer from {hostname}")

    site.hosts.fault = die
    with pytest.raises(NoAnswer) as caught:
        site.submit("boot", "remus")
    assert f"Operation {newest(site)} will be undone" in caught.value.hint
    site.hosts.fault = no_fault
    for _ in range(ATTEMPTS + 1):
        site.recover()
    assert states(site)[-1] == ("boot", "undoing")
    with pytest.raises(Busy, match="is being undone"):
        site.submit("boot", "remus")
    site.hosts.hosts[HOST1].up = True
    site.recover()
    site.check()
    site.submit("boot", "remus")


class Waiting(FakeHosts):
    """Hosts that are waited for when they are down: one after the other in call(), side by side in ask()."""

    waited = 0.0

    def call(self, hostname: str, *words: str, timeout: float) -> str:
        """See Hosts."""
        self.waited += 0 if self.hosts[hostname].up else PATIENCE
        return super().call(hostname, *words, timeout=timeout)

    def ask(self, hostnames: Sequence[str], *words: str, timeout: float) -> dict[str, Answer]:
        """See Hosts."""
        before = self.waited
        answers = super().ask(hostnames, *words, timeout=timeout)
        self.waited = min(self.waited, before + PATIENCE)
        return answers


def test_silent_hosts_are_waited_for_side_by_side(site: Site) -> None:
    """One turn takes no longer with many of them than with one; who answers is served in the same turn."""
    site.hosts = hosts = Waiting(HOST1, HOST2, HOST3)
    site.rows("INSERT INTO hosts (name, hostname, memory) VALUES ('host3', %s, 512)", HOST3)

    def die(when: str, hostname: str, words: tuple[str, ...]) -> None:
        if words[:2] == ("domain", "destroy"):
            hosts.hosts[hostname].up = False
            raise NoAnswer(f"no answer from {hostname}")

    for name in ("a", "b", "c"):
        site.create(name)
        site.submit("boot", name)
    hosts.fault = die
    for name in ("a", "b", "c"):
        with pytest.raises(NoAnswer):
            site.submit("destroy", name)
    hosts.fault, hosts.waited, hosts.hosts[HOST3].up = no_fault, 0.0, True
    taken = recovery.run(site.remote, hosts)
    assert [operation.state for operation in taken] == ["undoing", "undoing", "undone"]
    assert hosts.waited == PATIENCE


def test_a_host_that_was_never_reached_holds_nothing_up(site: Site) -> None:
    site.create("remus")

    def die(when: str, hostname: str, words: tuple[str, ...]) -> None:
        if words[:2] == ("domain", "create"):
            site.hosts.hosts[hostname].up = False
            raise Unreachable(f"{hostname} doesn't answer")

    site.hosts.fault = die
    with pytest.raises(Unreachable, match="host1") as caught:
        site.submit("boot", "remus")
    assert "was undone" in caught.value.hint
    site.hosts.fault = no_fault
    site.submit("boot", "remus")
    assert site.homes() == {"remus": HOST2}


def test_a_worker_that_was_taken_for_dead_does_nothing_more(site: Site) -> None:
    def overtaken(when: str, hostname: str, words: tuple[str, ...]) -> None:
        if words[:2] == ("volume", "create") and when == "before":
            site.hosts.fault = no_fault
            site.expire()
            [operation] = recovery.run(second, site.hosts)
            assert operation.state == "done"

    site.hosts.fault = overtaken
    with closing(connect()) as second, pytest.raises(Busy):
        site.create("remus")
    site.check()
    assert states(site) == [("create", "done")]


def test_rows_that_refuse_the_last_step_turn_it_back(site: Site) -> None:
    site.create("remus")

    def take_name(when: str, hostname: str, words: tuple[str, ...]) -> None:
        if words[1] == "rename":
            site.rows(
                "INSERT INTO hosts (name, hostname, memory, enabled) VALUES"
                " ('romulus', 'romulus.invirt.test', 1, false) ON CONFLICT DO NOTHING"
            )

    site.hosts.fault = take_name
    with pytest.raises(BadInput, match="the name romulus is reserved"):
        site.submit("rename", "remus", name="romulus")
    assert site.hosts.volumes == {("remus", "hda"): 1}
    site.check()


def test_operations_can_be_read(site: Site) -> None:
    operation: Operation = site.create("remus")
    assert operation.title == f"operation {operation.operation_id} (create of remus by alice@INVIRT.TEST)"
    assert not operation.is_open


class Meanwhile(connection.Connection):
    """A connection after whose first commit something else happens."""

    then: Callable[[], object] | None = None

    def __exit__(self, *why: Any) -> None:
        super().__exit__(*why)
        then, self.then = self.then, None
        if then:
            then()


def test_one_that_is_finished_while_an_administrator_looks(site: Site) -> None:
    site.hosts.fault = failing("create", "after", Killed)  # type: ignore[arg-type]
    with suppress(Killed):
        site.create("remus")
    site.hosts.fault = no_fault
    with closing(psycopg2.connect(connection_factory=Meanwhile, **connection.settings())) as connected:
        connected.then = site.recover
        with pytest.raises(BadInput, match="is done already"):
            recovery.retry(connected, site.hosts, newest(site), silence)
    site.check()
