"""Steps that take long: begun, asked about while the lease is renewed, and given up or carried on."""

from __future__ import annotations

from contextlib import closing, suppress

import pytest

from invirt import config
from invirt.base.errors import BadInput, Busy, CommandFailed, InvirtError, Unreachable
from invirt.database.connection import connect
from invirt.remote.hosts import NoAnswer
from invirt.remote.operations import engine, recovery, silence
from invirt.remote.operations.model import CALL
from invirt.remote.operations.store import LEASE
from tests.parts.operations import moving
from tests.parts.operations.conftest import HOST1, HOST2, Quick, Site
from tests.parts.operations.fakehosts import FakeHosts, Killed, failing, no_fault

STATES = "SELECT kind, state FROM operations ORDER BY operation_id DESC LIMIT 1"
LEFT = "SELECT extract(epoch FROM lease_until - now()) FROM operations ORDER BY operation_id DESC LIMIT 1"


@pytest.fixture
def quick(quick: Quick, monkeypatch: pytest.MonkeyPatch) -> Quick:
    """Moves can be asked for, too."""
    moving.install(monkeypatch)
    return quick


@pytest.fixture
def up(site: Site, quick: Quick) -> Site:
    """remus runs on host1."""
    site.create("remus")
    site.submit("boot", "remus")
    assert site.homes() == {"remus": HOST1}
    return site


def held(site: Site) -> float:
    """Seconds that the newest operation's lease has still to last."""
    [(left,)] = site.rows(LEFT)
    return float(str(left))


def test_a_job_outlasts_many_leases_that_are_short(
    site: Site, quick: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two minutes of it are two minutes in which nobody else may take it, and it is never held for long."""
    site.create("remus")
    site.hosts.hosts[HOST1].slow = int(100 / engine.POLL)
    seen, renewed = [], []

    def watch(when: str, hostname: str, words: tuple[str, ...]) -> None:
        if words[0] == "job" and when == "before":
            seen.append(held(site))
            site.rows("UPDATE operations SET lease_until = lease_until - interval '0.5 seconds'")
            assert recovery.run(second, site.hosts) == []

    prolong = engine.Worker.prolong
    monkeypatch.setattr(engine.Worker, "prolong", lambda *more: renewed.append(quick.now) or prolong(*more))
    site.hosts.fault = watch
    with closing(connect()) as second:
        assert site.submit("boot", "remus").state == "done"
    assert quick.now >= 90 and len(renewed) >= 10
    assert min(seen) > CALL and max(seen) <= LEASE
    site.hosts.fault = no_fault
    site.check()


def test_without_being_renewed_the_lease_would_end(
    site: Site, quick: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which shows that the test above could fail."""
    site.create("remus")
    site.hosts.hosts[HOST1].slow = int(100 / engine.POLL)
    seen = []

    def watch(when: str, hostname: str, words: tuple[str, ...]) -> None:
        if words[0] == "job":
            seen.append(held(site))
            site.rows("UPDATE operations SET lease_until = lease_until - interval '0.5 seconds'")

    monkeypatch.setattr(engine.Worker, "prolong", lambda *_: None)
    site.hosts.fault = watch
    site.submit("boot", "remus")
    assert min(seen) < 0


def test_what_never_ends_is_given_up(site: Site, quick: Quick) -> None:
    site.create("remus")
    site.hosts.hosts[HOST1].slow = 10**6
    site.hosts.hosts[HOST1].deaf.add("remus")
    with pytest.raises(
        InvirtError, match=f"host1 has come to no end with it after {config.remote.work_timeout}"
    ):
        site.submit("boot", "remus")
    assert site.rows(STATES) == [("boot", "undoing")]  # its undoing takes as long
    site.hosts.hosts[HOST1].slow = 0
    site.recover()
    site.check()


def test_one_unanswered_question_is_asked_again(site: Site, quick: Quick) -> None:
    site.create("remus")
    site.hosts.hosts[HOST1].slow = 5
    lost = 0

    def lose(when: str, hostname: str, words: tuple[str, ...]) -> None:
        nonlocal lost
        if (when, *words[:2]) == ("before", "job", "status") and lost < engine.UNANSWERED - 1:
            lost += 1
            raise NoAnswer(f"no answer from {hostname}")

    site.hosts.fault = lose
    assert site.submit("boot", "remus").state == "done"
    assert lost == engine.UNANSWERED - 1
    site.check()


def test_a_job_that_its_host_lost_is_undone(site: Site, quick: Quick) -> None:
    """A reboot of the host ends it."""
    site.create("remus")
    site.hosts.hosts[HOST1].slow = 5

    def reboot(when: str, hostname: str, words: tuple[str, ...]) -> None:
        if words[:2] == ("job", "status"):
            site.hosts.hosts[hostname].crash()

    site.hosts.fault = reboot
    with pytest.raises(InvirtError, match="there is no job"):
        site.submit("boot", "remus")
    site.hosts.fault = no_fault
    site.recover()
    site.check()
    assert site.homes() == {"remus": None}


class Slow(FakeHosts):
    """Hosts of the version before, and how long they may take."""

    longest = 0.0
    lease = 0.0

    def call(self, hostname: str, *words: str, timeout: float) -> str:
        """See Hosts."""
        if words[:2] == ("domain", "create"):
            self.longest, self.lease = timeout, held(self.site)
        return super().call(hostname, *words, timeout=timeout)

    site: Site


def test_a_host_of_the_version_before_keeps_us_waiting(site: Site, quick: Quick) -> None:
    """It knows no jobs; the lease lasts as long as the one call may take."""
    site.hosts = hosts = Slow(HOST1, HOST2)
    hosts.site = site
    for host in hosts.hosts.values():
        host.behind = True
    site.create("remus")
    for kind in ("boot", "reboot", "shutdown", "boot", "destroy"):
        assert site.submit(kind, "remus").state == "done"
        site.check()
    assert hosts.longest == config.remote.work_timeout < hosts.lease


def test_two_reservations_while_it_moves_and_one_after(up: Site) -> None:
    reserved = []

    def look(when: str, hostname: str, words: tuple[str, ...]) -> None:
        if words[:2] in (("domain", "destroy"), ("domain", "create")) and when == "before":
            reserved.append(len(up.rows("SELECT 1 FROM reservations")))

    up.hosts.fault = look
    up.submit("move", "remus")
    assert reserved == [2, 1]
    assert up.homes() == {"remus": HOST2}
    up.check()


def test_before_its_pivot_it_is_undone(up: Site) -> None:
    up.hosts.fault = failing("destroy")
    with pytest.raises(CommandFailed) as told:
        up.submit("move", "remus")
    assert "was undone" in told.value.hint
    assert up.homes() == {"remus": HOST1}
    up.hosts.fault = no_fault
    up.check()


def test_behind_its_pivot_it_is_carried_on(up: Site) -> None:
    """However long that takes, and whoever tries to turn it back."""
    up.hosts.fault = failing("create")
    with pytest.raises(CommandFailed) as told:
        up.submit("move", "remus")
    assert "can't be undone any more; it goes on" in told.value.hint
    for _ in range(2):
        up.recover()
        assert up.rows(STATES) == [("move", "running")]
    [(number,)] = up.rows("SELECT max(operation_id) FROM operations")
    assert isinstance(number, int)
    up.expire()
    for turn_back in (
        lambda: recovery.undo(up.remote, up.hosts, number, silence),
        lambda: recovery.resolve(up.remote, up.hosts, number, False, silence),
    ):
        with pytest.raises(BadInput, match="can't be undone any more"):
            turn_back()
    for _ in range(engine.ATTEMPTS):
        up.recover()
    assert up.rows(STATES) == [("move", "stuck")]
    up.hosts.fault = no_fault
    assert recovery.retry(up.remote, up.hosts, number, silence).state == "done"
    assert up.homes() == {"remus": HOST2}
    up.check()


def test_a_silent_target_is_waited_for_without_end(up: Site) -> None:
    def die(when: str, hostname: str, words: tuple[str, ...]) -> None:
        if words[:2] == ("domain", "create"):
            up.hosts.hosts[hostname].up = False
            raise Unreachable(f"{hostname} doesn't answer")

    up.hosts.fault = die
    with pytest.raises(Unreachable):
        up.submit("move", "remus")
    up.hosts.fault = no_fault
    for _ in range(engine.ATTEMPTS + 1):
        up.recover()
    with pytest.raises(Busy, match="move of remus by .* is under way"):
        up.submit("destroy", "remus")
    up.hosts.hosts[HOST2].up = True
    up.recover()
    assert up.homes() == {"remus": HOST2}
    up.check()


@pytest.mark.parametrize(
    ("kind", "wants", "fault", "state", "left"),
    [
        ("shutdown", {}, ("domain", "shutdown", "before"), "running", "done"),
        ("boot", {}, ("domain", "create", "after"), "running", "done"),
        ("boot", {}, ("domain", "create", "after"), "undoing", "undone"),
        ("delete", {}, ("volume", "remove", "after"), "running", "done"),
        ("delete", {}, ("volume", "remove", "after"), "stuck", "undone"),
        ("rename", {"name": "romulus"}, ("volume", "rename", "after"), "undoing", "undone"),
        ("resize", {"memory": 256, "disks": {"hda": 2}}, ("volume", "resize", "after"), "running", "done"),
    ],
)
def test_what_the_version_before_left_is_ended_or_undone(
    site: Site, kind: str, wants: dict[str, object], fault: tuple[str, str, str], state: str, left: str
) -> None:
    """Its rows have the same names of steps, longer leases, and no word of a reservation's operation."""
    site.create("remus")
    if kind == "shutdown":
        site.submit("boot", "remus")
        site.rows("UPDATE reservations SET operation_id = NULL")

    def die(when: str, hostname: str, words: tuple[str, ...]) -> None:
        if (*words[:2], when) == fault:
            raise Killed

    site.hosts.fault = die
    with suppress(Killed):
        site.submit(kind, "remus", **wants)
    site.hosts.fault = no_fault
    site.rows("UPDATE reservations SET operation_id = NULL")
    site.rows(
        "UPDATE operations SET state = %s, lease_holder = 'old.invirt.test/1/2',"
        " lease_until = now() + interval '270 seconds' WHERE finished_at IS NULL",
        state,
    )
    assert recovery.run(site.remote, site.hosts) == []
    site.expire()
    if state == "stuck":
        site.rows("UPDATE operations SET lease_holder = NULL WHERE finished_at IS NULL")
        [(number,)] = site.rows("SELECT max(operation_id) FROM operations")
        assert isinstance(number, int)
        recovery.retry(site.remote, site.hosts, number, silence)
    else:
        site.recover()
    assert site.rows(STATES) == [(kind, left)]
    site.turn()
    site.check()
