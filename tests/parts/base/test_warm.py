"""Workers started ahead: a service of two small programs, called by the real client."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from invirt.base import warm
from tests.parts.base.warm_service import PROGRAM, Service, lives, workers
from tests.parts.realm import DEADLINE
from tests.parts.waiting import until

SECRET = "alice's alone"


@pytest.fixture
def stopped(invirt_yaml: Path) -> Iterator[Service]:
    """A service that is not running, on a socket that is there."""
    folder = Path(tempfile.mkdtemp(prefix="invirt-warm-"))  # its path has to be short
    for program in ("tell", "wait", "leave"):
        (folder / program).write_text(PROGRAM)
        (folder / program).chmod(0o755)
    (folder / "code").mkdir()
    (folder / "code/code_of_ours.py").write_text("VERSION = 1\n")
    (folder / "warm").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "warm/test"))
        listening.listen()
        service = Service(folder, {**os.environ, "INVIRT_RUN": str(folder)}, listening)
        try:
            yield service
        finally:
            service.stop()
            shutil.rmtree(folder)


@pytest.fixture
def service(stopped: Service) -> Service:
    """A service that runs."""
    stopped.start()
    return stopped


def test_a_worker_has_all_that_its_caller_has_and_nothing_of_another(service: Service) -> None:
    alice = service.told("a", "", "ä b", "\udcff", SECRET=SECRET, EMPTY="", LINES="1\n2")
    environment = alice["environment"]
    assert isinstance(environment, dict)
    assert environment.items() >= {"SECRET": SECRET, "EMPTY": "", "LINES": "1\n2"}.items()
    assert not {"FOLDER", "SECONDS", "MOST", "SIGN_ON"} & set(environment)  # the service's own
    assert alice["words"] == [str(service.folder / "tell"), "a", "", "ä b", "\udcff"]
    assert (alice["stdin"], alice["folder"]) == ("given", os.getcwd())
    for _ in range(5):
        bob = service.told("b")
        assert SECRET not in json.dumps(bob)
        assert bob["pid"] != alice["pid"] and bob["calls"] == alice["calls"] == 1


def test_workers_are_born_with_what_the_service_has_done_once(service: Service) -> None:
    """It has signed on itself, and then each of them."""
    assert [service.told()["signed_on"] for _ in range(2)] == [2, 2]


def test_streams_are_the_callers_and_no_others_are_there(service: Service) -> None:
    """Beside them: the caller's socket and pipe, the service's socket, a connection, what reads these."""
    assert len(service.told()["open"]) <= 10  # type: ignore[arg-type]


def test_without_a_service_a_program_does_its_work(stopped: Service) -> None:
    """On a socket on which nobody is, and without one."""
    began = time.monotonic()
    assert stopped.call("a", "b").stdout == "by itself: a b\n"
    assert time.monotonic() - began < DEADLINE / 4
    stopped.socket.unlink()
    done = stopped.call("a b", "\udcff".encode(errors="surrogateescape").decode(errors="replace"))
    assert (done.returncode, done.stderr) == (3, "")


def test_a_frozen_service_holds_nobody_up(service: Service) -> None:
    pid = service.told()["pid"]
    assert isinstance(pid, int) and service.process
    until(lambda: len({*workers(service)} - {pid}) == 2)
    frozen = [service.process.pid, *workers(service)]
    for one in frozen:
        os.kill(one, signal.SIGSTOP)
    try:
        assert service.call().returncode == 3
    finally:
        for one in frozen:
            os.kill(one, signal.SIGCONT)
    service.told()


def test_while_others_are_there_what_was_asked_for_has_the_processor(service: Service) -> None:
    """The next worker is made a while later."""
    until(lambda: len(workers(service)) == 2)
    came = time.clock_gettime(time.CLOCK_BOOTTIME)
    before = {*workers(service), service.told()["pid"]}
    (successor,) = until(lambda: {*workers(service)} - before)
    ticks = int(Path(f"/proc/{successor}/stat").read_text().rpartition(") ")[2].split()[19])
    assert ticks / os.sysconf("SC_CLK_TCK") > came + warm.REST - 0.02


def test_many_at_once_wait_for_their_turn(stopped: Service) -> None:
    """None of them begins by itself, which takes what would make it a worker."""
    stopped.start(sign_on=0.2)
    stopped.told()
    with ThreadPoolExecutor(20) as pool:
        done = list(pool.map(lambda number: stopped.call(str(number)), range(20)))
    assert {one.returncode for one in done} == {7}
    told = [json.loads(one.stdout) for one in done]
    assert [one["words"][1:] for one in told] == [[str(number)] for number in range(20)]
    assert len({one["pid"] for one in told}) == 20


def test_where_there_may_be_no_more_workers_nobody_waits(stopped: Service) -> None:
    stopped.start(most=3)
    calls = [stopped.wait(f"pids{number}") for number in range(3)]
    began = time.monotonic()
    assert stopped.call("a").stdout == "by itself: a\n"
    assert time.monotonic() - began < DEADLINE / 4
    for calling, _ in calls:
        calling.kill()
        calling.wait(DEADLINE)
    stopped.told()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_caller_that_goes_away_ends_what_is_done_for_it(service: Service, how: signal.Signals) -> None:
    """And what that has started."""
    calling, pids = service.wait()
    assert all(map(lives, pids)) and calling.pid not in pids
    calling.send_signal(how)
    assert calling.wait(DEADLINE) == -how
    until(lambda: not any(map(lives, pids)))


def test_what_is_heard_late_of_a_caller_is_no_sign_that_it_went(service: Service) -> None:
    """Only its pipe's end is: word of what was sent may come after that was read."""
    service.told()
    at, environment = (
        service.folder / "pids",
        [f"{name}={value}" for name, value in service.environment.items()],
    )
    said = "\0".join(["2", "/", str(service.folder / "wait"), str(at), *environment]).encode()
    line, other = os.pipe()
    with socket.socket(socket.AF_UNIX) as calling, (service.folder / "written").open("w+b") as written:
        calling.connect(str(service.socket))
        assert calling.recv(1) + calling.recv(1) == b".!"
        socket.send_fds(calling, [len(said).to_bytes(4, "big")], [*[written.fileno()] * 3, line])
        calling.sendall(said)
        until(at.exists)
        pids = [int(pid) for pid in at.read_text().split()]
        calling.send(b"late")
        time.sleep(0.2)
        assert all(map(lives, pids))
        os.close(other)
        until(lambda: not any(map(lives, pids)))
    os.close(line)


def test_who_calls_is_told_when_the_work_was_cut_off(service: Service) -> None:
    """It is not done a second time, and nothing of it goes on."""
    calling, pids = service.wait()
    os.kill(pids[0], signal.SIGKILL)
    out, said = calling.communicate(timeout=DEADLINE)
    assert (calling.returncode, out) == (7, b"") and b"was cut off" in said
    until(lambda: not lives(pids[1]))
    service.told()


def test_work_goes_on_when_the_service_is_stopped(service: Service) -> None:
    """Workers that only wait end with it."""
    calling, pids = service.wait()
    waiting = [pid for pid in workers(service) if pid not in pids]
    service.stop()
    until(lambda: not any(map(lives, waiting)))
    assert all(map(lives, pids))
    calling.kill()
    calling.wait(DEADLINE)
    until(lambda: not any(map(lives, pids)))


def test_what_is_done_apart_goes_on_without_its_caller(service: Service) -> None:
    """Its caller has ended, with its streams; the copy has the files that it was given, and no others."""
    service.told()
    told = service.folder / "apart"
    left = json.loads(service.call(str(told), program="leave").stdout)
    try:
        until(told.exists)
        copy = json.loads(told.read_text())
        assert copy == {"group": left["pid"], "open": [0, 1, 2, *left["kept"]]}
        service.stop()
        assert lives(left["pid"])
    finally:
        os.kill(left["pid"], signal.SIGKILL)


def test_what_changes_is_used_at_once(service: Service, invirt_yaml: Path) -> None:
    """Code and configuration: no worker that was made before does anything any more, but for
    a second where code was written into in its place, which no package does."""
    assert (service.told()["code"], service.told()["contact"]) == (1, "root")
    until(lambda: len(workers(service)) == 2)
    old = workers(service)
    code = service.folder / "code/code_of_ours.py"
    code.with_suffix(".new").write_text("VERSION = 1 + 1\n")
    code.with_suffix(".new").rename(code)
    found = service.told()
    assert found["code"] == 2 and found["pid"] not in old
    new = invirt_yaml.with_suffix(".new")
    new.write_text(invirt_yaml.read_text().replace("realm: INVIRT.TEST", "realm: INVIRT.TEST, contact: help"))
    new.rename(invirt_yaml)
    assert service.told()["contact"] == "help"
    code.write_text("VERSION = 1 + 1 + 1\n")
    until(lambda: service.told()["code"] == 3)


def test_a_connection_that_is_dead_is_not_used(service: Service) -> None:
    service.told()
    (service.folder / "dead").touch()
    assert service.call().returncode == 3
    (service.folder / "dead").unlink()
    service.told()


def test_a_connection_is_used_as_long_as_its_ticket_lasts(stopped: Service) -> None:
    """Then another takes its worker's place."""
    stopped.start(seconds=0.5)
    stopped.told()
    old = workers(stopped)
    until(lambda: not any(map(lives, old)))
    stopped.told()


def test_without_a_database_workers_are_ready_all_the_same(stopped: Service) -> None:
    """Their programs tell what is wrong."""
    (stopped.folder / "down").touch()
    stopped.start()
    stopped.told()


def test_another_configuration_is_no_worker_s(service: Service, tmp_path: Path) -> None:
    service.told()
    done = service.call("x", INVIRT_CONFIG=str(tmp_path / "other.yaml"))
    assert (done.returncode, done.stdout) == (3, "by itself: x\n")


def test_a_program_that_the_role_has_not_is_no_worker_s(service: Service) -> None:
    service.told()
    (service.folder / "tell").rename(service.folder / "other")
    assert service.call("x", program="other").stdout == "by itself: x\n"


@pytest.mark.parametrize(
    ("said", "streams"),
    [
        (b"", 4),
        (b"\0\0", 4),
        (b"\0\0\0\x05abc", 4),
        (b"\xff\xff\xff\xff", 4),
        (b"\0\0\0\x0c1\0/\0tell\0A=b", 0),
        (b"\0\0\0\x0c1\0/\0tell\0A=b", 3),
        (b"\0\0\0\x0c1\0/\0tell\0A=b", 9),
        (b"\0\0\0\x0cx\0/\0tell\0A=b", 4),
        (b"\0\0\0\x0c9\0/\0tell\0A=b", 4),
        (b"\0\0\0\x0b1\0/\0tell\0Ab", 4),
        (b"\0\0\0\x0c1\0-\0tell\0A=b", 4),
        (b"\0\0\0\x0c0\0/\0tell\0A=b", 4),
        (b"\0\0\0\x00", 4),
    ],
)
def test_nonsense_does_nothing(service: Service, said: bytes, streams: int) -> None:
    """Root's own nonsense: nobody else comes to the socket."""
    service.told()
    with socket.socket(socket.AF_UNIX) as calling, (service.folder / "written").open("w+b") as written:
        calling.settimeout(DEADLINE)
        calling.connect(str(service.socket))
        assert calling.recv(1) + calling.recv(1) == b".!"
        if said:
            socket.send_fds(calling, [said], [written.fileno()] * streams)
        calling.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            assert calling.recv(2) in (b"", b"no")
        assert written.seek(0, os.SEEK_END) == 0
    service.told()


def test_another_user_gets_no_answer(service: Service) -> None:
    """Even were the socket open to all."""
    service.told()
    for path, mode in ((service.folder, 0o755), (service.folder / "warm", 0o755), (service.socket, 0o666)):
        path.chmod(mode)
    with socket.socket(socket.AF_UNIX) as calling:
        calling.settimeout(DEADLINE)
        os.seteuid(65534)
        try:
            calling.connect(str(service.socket))
        finally:
            os.seteuid(0)
        assert calling.recv(1) + calling.recv(1) == b"."
    service.told()
