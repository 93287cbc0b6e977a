"""What remote is told, and what is said of its silence."""

from __future__ import annotations

import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from invirt.base.errors import BadInput, Busy, CommandFailed, NoRoom, Unreachable
from invirt.web import saying


class Remote:
    """Answers what it is told to."""

    def __init__(
        self, code: int = 0, stdout: str = "", stderr: str = "", error: Exception | None = None
    ) -> None:
        self.answer, self.error = subprocess.CompletedProcess([], code, stdout, stderr), error
        self.asked: list[list[str]] = []

    def __call__(self, argv: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        self.asked.append(argv)
        if self.error:
            raise self.error
        return self.answer


@pytest.fixture(autouse=True)
def site(invirt_yaml: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saying.kerberos, "use_host_keytab", lambda: None)


def test_words_are_said_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    remote = Remote(stdout='{"operation": 7}')
    monkeypatch.setattr(saying, "run", remote)
    assert saying.begun(saying.say("rename", "alice", "$(x) y", "z")) == 7
    assert remote.asked == [
        ["remctl", "remote.invirt.test", "web", "rename", "alice", "$(x) y", "z", "--json"]
    ]


def test_a_refusal_is_the_error_that_its_code_stands_for(monkeypatch: pytest.MonkeyPatch) -> None:
    said = '{"error": "the quota is used up", "hint": "Delete one.", "code": 6}'
    monkeypatch.setattr(saying, "run", Remote(6, said, "machine: ..."))
    with pytest.raises(NoRoom, match="quota") as raised:
        saying.say("create")
    assert raised.value.hint == "Delete one."


@pytest.mark.parametrize(
    ("remote", "told"),
    [
        (
            Remote(1, "", "remctl: cannot connect to remote (port 4373): Connection refused"),
            "nothing was done",
        ),
        (Remote(1, "", "remctl: error receiving token: unexpected end of file"), "may be done or not"),
        (Remote(1, "", ""), "may be done or not"),
        (Remote(error=CommandFailed("no end within 30 seconds")), "may be done or not"),
    ],
)
def test_silence_is_told_for_what_it_is(monkeypatch: pytest.MonkeyPatch, remote: Remote, told: str) -> None:
    """Nobody is told that nothing was done where that isn't known."""
    monkeypatch.setattr(saying, "run", remote)
    with pytest.raises(Unreachable, match=told):
        saying.say("control", "alice", "remus", "create")


@pytest.mark.parametrize("word", ["x" * (saying.LONGEST + 1), "x\0y"])
def test_what_remctl_would_cut_is_refused(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setattr(saying, "run", Remote())
    with pytest.raises(BadInput):
        saying.say("create", word)


def test_a_remote_server_that_is_stuck_holds_up_no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many forms wait for it; the next is told so, and places are free again afterwards."""
    go, inside = threading.Event(), threading.Semaphore(0)

    def stuck(*_: Any, **__: Any) -> subprocess.CompletedProcess[str]:
        inside.release()
        go.wait(20)
        return subprocess.CompletedProcess([], 0, "{}", "")

    monkeypatch.setattr(saying, "run", stuck)
    monkeypatch.setattr(saying, "TURN", 0.01)
    with ThreadPoolExecutor(saying.MOST) as forms:
        waiting = [forms.submit(saying.say, "list") for _ in range(saying.MOST)]
        assert all(inside.acquire(timeout=20) for _ in waiting)
        with pytest.raises(Busy, match="nothing was done"):
            saying.say("list")
        go.set()
        assert [one.result() for one in waiting] == [{}] * saying.MOST
    assert saying.say("list") == {}
