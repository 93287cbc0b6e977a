"""Jobs: commands that are begun by one call, and asked about by others."""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import pytest

from invirt.base.errors import BadInput, NotFound
from invirt.host import jobs
from invirt.host.commands.job import COMMANDS

from .conftest import Host
from .test_domain import fault

CALLER = "host/remote.invirt.test@INVIRT.TEST"
ENDED = {"state": "ended", "status": 0, "said": ""}


@pytest.fixture
def begin(state: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """begin("create", "remus", 7): a job of that token, in a process of its own."""
    children = []

    def background(argv: list[str]) -> int:
        child = os.fork()
        if child == 0:
            try:
                jobs.work(int(argv[-1]), COMMANDS)
            finally:
                os._exit(0)
        children.append(child)
        return child

    monkeypatch.setattr(jobs, "background", background)
    yield lambda verb, name, token: jobs.begin(token, ["domain", verb, name, str(token)], CALLER, COMMANDS)
    for child in children:
        os.waitpid(child, 0)


def until_ended(token: int) -> dict[str, Any]:
    """How it ended."""
    deadline = time.monotonic() + 30
    while (found := jobs.status(token))["state"] == "running":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


@contextmanager
def busy(state: Path) -> Iterator[TextIO]:
    """Another command works on remus, until the lock of this file is given up."""
    (state / "run/locks").mkdir(parents=True)
    with (state / "run/locks/remus").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        yield other


@pytest.mark.children
def test_most_are_done_when_they_have_begun(host: Host, begin: Callable[..., Any]) -> None:
    assert begin("create", "remus", 7) == {"token": 7, **ENDED}
    assert host("domain", "status", "remus")["state"] == "running"
    assert jobs.status(7) == {"token": 7, **ENDED}


@pytest.mark.children
def test_one_that_takes_long_is_asked_about(
    host: Host, state: Path, begin: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "SOON", 0.1)
    fault(state, "create", "before hang")
    assert begin("create", "remus", 7) == {"token": 7, "state": "running"}
    assert begin("create", "remus", 7) == {"token": 7, "state": "running"}  # it came twice
    (state / "fake/faults/create").unlink()
    assert until_ended(7) == {"token": 7, **ENDED}
    assert host("domain", "status", "remus")["state"] == "running"


@pytest.mark.children
def test_its_failure_is_kept(host: Host, state: Path, begin: Callable[..., Any]) -> None:
    fault(state, "create", "before fail")
    found = begin("create", "remus", 7)
    assert (found["state"], found["status"]) == ("ended", 9)
    assert found["said"] == "domain: create failed as it was told to\n"
    late = begin("destroy", "remus", 6)
    assert late["status"] == 5 and "came too late" in late["said"]


@pytest.mark.children
def test_one_that_was_killed_has_failed(
    host: Host, state: Path, begin: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "SOON", 0.1)
    fault(state, "create", "before kill")
    begin("create", "remus", 7)
    found = until_ended(7)
    assert (found["status"], found["said"]) == (1, "job: job 7 was cut off")
    assert begin("create", "remus", 7) == found  # it is not begun again
    (state / "fake/faults/create").unlink()
    begin("create", "remus", 8)
    assert until_ended(8) == {"token": 8, **ENDED}


@pytest.mark.children
def test_it_waits_in_line_for_its_machine(
    host: Host, state: Path, begin: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than a call could."""
    monkeypatch.setattr(jobs, "SOON", 0.1)
    with busy(state) as other:
        assert begin("create", "remus", 7)["state"] == "running"
        assert jobs.status(7)["state"] == "running"
        fcntl.flock(other, fcntl.LOCK_UN)  # the child has the file open, too
    assert until_ended(7) == {"token": 7, **ENDED}


@pytest.mark.children
def test_who_asks_hears_of_its_end_at_once_but_waits_for_no_more(
    host: Host, state: Path, begin: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "SOON", 0.1)
    with busy(state) as other:
        begin("create", "remus", 7)
        assert jobs.news(7)["state"] == "running"
        monkeypatch.setattr(jobs, "SOON", 60.0)
        freed = threading.Timer(0.2, fcntl.flock, (other, fcntl.LOCK_UN))
        freed.start()
        assert jobs.news(7) == {"token": 7, **ENDED}
        freed.join()


@pytest.mark.parametrize(
    "words",
    [
        ["domain", "create", "remus", "8"],
        ["domain", "create", "../x", "7"],
        ["domain", "create", "7"],
        ["domain", "list", "7"],
        ["host", "status", "7"],
        ["sh", "-c", "true", "7"],
        ["domain"],
    ],
)
def test_only_commands_with_their_own_token_are_jobs(state: Path, words: list[str]) -> None:
    with pytest.raises((BadInput, SystemExit)):
        jobs.begin(7, words, CALLER, COMMANDS)
    assert not (state / "run/jobs").exists()


def test_one_that_was_never_begun(state: Path) -> None:
    with pytest.raises(NotFound, match="there is no job 7"):
        jobs.status(7)


def test_one_that_nothing_has_taken_up_is_cut_off_in_the_end(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "SOON", 0.0)
    monkeypatch.setattr(jobs, "background", lambda _: os.getpid())  # one that does nothing, and lives
    words = ["domain", "create", "remus", "7"]
    assert jobs.begin(7, words, CALLER, COMMANDS)["state"] == "running"
    file = state / "run/jobs/7"
    assert json.loads(file.read_text())["words"] == words
    os.utime(file, (0, time.time() - jobs.START - 1))
    assert jobs.status(7)["status"] == 1


@pytest.mark.children
def test_old_ones_are_forgotten_but_none_that_goes_on(
    host: Host, state: Path, begin: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "SOON", 0.5)
    begin("create", "remus", 7)
    fault(state, "destroy", "before hang")
    begin("destroy", "remus", 8)
    for file in (state / "run/jobs").glob("*"):
        os.utime(file, (0, 0))
    jobs.forget(60)
    assert not list((state / "run/jobs").glob("7*"))
    assert jobs.status(8)["state"] == "running"
    (state / "fake/faults/destroy").unlink()
    assert until_ended(8)["status"] == 0
