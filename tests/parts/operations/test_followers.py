"""Followers see every step as it comes, by one connection of their server; cut off, they come again."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import psycopg2
import pytest
from psycopg2.extensions import get_wait_callback, set_wait_callback

from invirt.base.cli import parsed
from invirt.base.errors import Busy, CommandFailed, NotFound
from invirt.database.connection import Connection, connect, transaction
from invirt.remote import followers, following, operations, session, verbs
from invirt.remote.commands import machine
from invirt.remote.followers import Told
from invirt.remote.operations import Actor, begin, recovery
from tests.parts.operations.conftest import ALICE, BOB, Site
from tests.parts.operations.fakehosts import failing, no_fault
from tests.parts.waiting import until

MANY = 200
DEADLINE = 60.0  # seconds
SERVE = """
from invirt.database import connection
from invirt.remote import followers
connection.role = "remote"
followers.serve()
"""
SESSIONS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND usename = 'invirt_remote' AND pid <> %s"
)


class Service:
    """The service's process."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin, and wait until followers can come."""
        followers.path().unlink(missing_ok=True)
        self.process = subprocess.Popen([sys.executable, "-c", SERVE])
        until(followers.path().exists, seconds=DEADLINE)

    def kill(self) -> None:
        """End it at once."""
        if self.process:
            self.process.kill()
            self.process.wait(timeout=20)
            self.process = None


@pytest.fixture
def service(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """It runs."""
    monkeypatch.setenv("INVIRT_FOLLOWERS", str(tmp_path / "followers"))
    made = Service()
    made.start()
    yield made
    made.kill()


class Follower(threading.Thread):
    """Keeps what it is told."""

    def __init__(self, number: int) -> None:
        super().__init__(daemon=True)
        self.number = number
        self.told: list[Told] = []
        self.start()

    def run(self) -> None:
        for now in followers.follow(self.number):
            self.told.append(now)

    def steps(self) -> list[tuple[int, str]]:
        """Number and state of each step, in the order in which they were told."""
        seen: list[tuple[int, str]] = []
        for now in self.told:
            seen += [
                (step.position, step.state) for step in now.steps if (step.position, step.state) not in seen
            ]
        return seen

    def wait(self, lines: int = 1) -> None:
        """Until it has been told so often."""
        until(lambda: len(self.told) >= lines, seconds=DEADLINE)


def make(site: Site) -> int:
    """A machine to be made, which nobody has begun with yet."""
    wants = {"memory": 64, "disk": 1}
    return begin("create", Actor(ALICE), "remus", wants, hosts=site.hosts, connection=site.remote)


def test_200_see_every_step_by_one_connection(site: Site, service: Service) -> None:
    """No follower has a session of its own, and who is told last is told in the end."""
    number = make(site)
    many = [Follower(number) for _ in range(MANY)]
    for one in many:
        one.wait()
    assert site.rows(SESSIONS, site.remote.info.backend_pid) == [(1,)]
    assert {one.told[0].state for one in many} == {"running"}

    def while_it_is_done(when: str, hostname: str, words: tuple[str, ...]) -> None:
        deadline = time.monotonic() + DEADLINE
        while words[0] == "volume" and not all((2, "doing") in one.steps() for one in many):
            assert time.monotonic() < deadline
            time.sleep(0.02)

    site.hosts.fault = while_it_is_done
    recovery.run(site.remote, site.hosts)
    for one in many:
        one.join(DEADLINE)
        assert one.told[-1].state == "done"
        assert one.steps()[-1] == (2, "done")


@pytest.mark.parametrize("at_the_end", [False, True], ids=["a query", "the end of a transaction"])
def test_word_that_comes_with_an_answer_is_heard(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_the_end: bool
) -> None:
    """It is read with that, so that the connection's socket doesn't tell of it any more."""
    for seconds in ("ALIVE", "DEAF"):
        monkeypatch.setattr(followers, seconds, 4 * DEADLINE)
    monkeypatch.setenv("INVIRT_FOLLOWERS", str(tmp_path / "followers"))
    number, usual = make(site), get_wait_callback()

    def done_before_the_answer_is_read(connected: Connection) -> None:
        set_wait_callback(usual)
        connected.poll()  # it is asked
        before = until(lambda: waiting(connected), seconds=DEADLINE)
        recovery.run(site.remote, site.hosts)
        until(lambda: waiting(connected) > before, seconds=DEADLINE)
        usual(connected)

    class Slow(followers.Server):
        """Once it has told how an operation stands, that is done before it listens again."""

        def tell(self, connected: Connection, numbers: set[int]) -> None:
            """See there."""
            super().tell(connected, numbers)
            if numbers and site.rows("SELECT state FROM operations") == [("running",)]:
                with transaction(connected) if at_the_end else connected.cursor() as cursor:
                    if at_the_end:
                        cursor.execute("SELECT")
                    set_wait_callback(done_before_the_answer_is_read)
                    if not at_the_end:
                        cursor.execute("SELECT")

    def serve() -> None:
        with suppress(psycopg2.Error), closing(connect()) as connected:  # until the database goes
            Slow(followers.listen(followers.path())).serve(connected)

    threading.Thread(target=serve, daemon=True).start()
    until(followers.path().exists, seconds=DEADLINE)
    one = Follower(number)
    one.join(DEADLINE)
    assert one.told[-1].state == "done"


def waiting(connected: Connection) -> int:
    """Bytes that it has been told and hasn't read."""
    return int.from_bytes(fcntl.ioctl(connected.fileno(), termios.FIONREAD, bytes(4)), sys.byteorder)


def test_it_is_the_database_that_wakes_them(site: Site, service: Service) -> None:
    """Long before anything would be asked again."""
    number = make(site)
    one = Follower(number)
    one.wait()
    began = time.monotonic()
    recovery.run(site.remote, site.hosts)
    one.join(DEADLINE)
    assert one.told[-1].state == "done"
    assert time.monotonic() - began < followers.ALIVE
    site.rows("ALTER TABLE operations DISABLE TRIGGER told; ALTER TABLE operation_steps DISABLE TRIGGER told")
    site.submit("delete", "remus")
    two = Follower(make(site))
    two.wait()
    recovery.run(site.remote, site.hosts)
    two.join(1)
    assert two.is_alive()  # nobody told
    site.rows("ALTER TABLE operations ENABLE TRIGGER told")
    site.rows("UPDATE operations SET error = error")
    two.join(DEADLINE)
    assert not two.is_alive()


def test_who_is_cut_off_comes_again(site: Site, service: Service) -> None:
    """The service dies and comes back, and so does the database's connection; nothing is missed."""
    number = make(site)
    one = Follower(number)
    one.wait()
    service.kill()
    time.sleep(2 * followers.RETRY)
    service.start()
    one.wait(2)
    for (backend,) in site.rows(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND usename = 'invirt_remote'"
        " AND pid <> %s",
        site.remote.info.backend_pid,
    ):
        os.kill(int(str(backend)), signal.SIGTERM)
    recovery.run(site.remote, site.hosts)
    one.join(DEADLINE)
    assert one.told[-1].state == "done"


def test_why_it_failed_is_told(site: Site, service: Service) -> None:
    number = make(site)
    one = Follower(number)
    one.wait()
    site.hosts.fault = failing("create")
    recovery.run(site.remote, site.hosts)
    site.hosts.fault = no_fault
    one.join(DEADLINE)
    last = one.told[-1]
    assert (last.state, last.exit_code) == ("undone", 9)
    assert "create failed as it was told to" in (last.error or "")
    assert last.title == f"operation {number} (create of remus by {ALICE})"


def test_strange_followers_harm_nobody(site: Site, service: Service) -> None:
    """Who says nonsense, says nothing, or reads nothing."""
    import socket

    number = make(site)
    strange = []
    for said in (b"", b"x\n", b"-1\n", b"9" * 31, f"{number}\n".encode()):
        line = socket.socket(socket.AF_UNIX)
        line.connect(str(followers.path()))
        with suppress(OSError):
            line.sendall(said)
        strange.append(line)
    one = Follower(number)
    one.wait()
    recovery.run(site.remote, site.hosts)
    one.join(DEADLINE)
    assert one.told[-1].state == "done"
    for line in strange:
        line.close()
    with closing(connect()):
        pass


def test_who_may_follow(site: Site, service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    """Who may see it among a machine's operations; to all others there is none."""
    done = site.create("remus")
    with pytest.raises(NotFound, match=f"no operation {done.operation_id} that you may see"):
        following.follow(Actor(BOB), done.operation_id)
    with pytest.raises(NotFound, match="no operation 999"):
        following.follow(Actor(ALICE), 999)
    site.rows("INSERT INTO machine_access SELECT machine_id, %s FROM machines", BOB)
    for who in (ALICE, BOB):
        assert following.follow(Actor(who), done.operation_id) == f"{done.title} is done"
        assert "creating disk hda of remus (1 GiB) on host" in capsys.readouterr().out
    assert not session.is_open()  # none is kept while one follows


def test_a_user_is_told_why_it_failed(site: Site, service: Service) -> None:
    number = make(site)
    site.hosts.fault = failing("create")
    recovery.run(site.remote, site.hosts)
    with pytest.raises(CommandFailed, match="create failed as it was told to") as told:
        following.follow(Actor(ALICE), number)
    assert told.value.hint == f"operation {number} (create of remus by {ALICE}) is undone."


def test_before_the_connection_s_time_is_over_the_user_is_told_to_come_again(
    site: Site, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "LIMIT", 0.5)
    number = make(site)
    with pytest.raises(Busy, match="is under way") as told:
        following.follow(Actor(ALICE), number)
    assert told.value.hint == f"Follow it again: machine operations --follow {number}"
    recovery.run(site.remote, site.hosts)
    assert "is done" in following.follow(Actor(ALICE), number)


def test_the_requester_need_not_wait(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It gets the number at once; the service does it."""
    monkeypatch.setattr(operations, "RemctlHosts", lambda: site.hosts)
    call = parsed(
        machine.COMMAND, ["create", "remus", "--memory", "64", "--disk", "1", "--no-wait"], "machine"
    )
    assert call
    found = verbs.for_caller(replace(call, caller=ALICE), "machine")
    [(number, state)] = site.rows("SELECT operation_id, state FROM operations")
    assert (found.data, found.shown(found.data)) == ({"operation": number}, f"{number}\n")
    assert (state, site.hosts.volumes) == ("running", {})
    recovery.run(site.remote, site.hosts)
    site.check()
    call = parsed(machine.COMMAND, ["delete", "remus", "--yes"], "machine")
    assert call and "is in the trash" in verbs.for_caller(replace(call, caller=ALICE), "machine")
    session.let_go()
