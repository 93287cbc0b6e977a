"""Programs run by remctld: who calls, help and summary, the log's lines, audit."""

from __future__ import annotations

import shlex

import pytest

from invirt.base import remctl
from invirt.base.cli import Argument, Command, Found, Verb, whole
from invirt.base.errors import NotFound, Unreachable

ALICE = {"REMOTE_USER": "alice@INVIRT.TEST", "REMOTE_ADDR": "192.0.2.1", "REMCTL_COMMAND": "machine"}


def list_all(caller: str) -> str:
    return f"all of {caller}"


def show(caller: str, name: str) -> Found:
    if name == "bug":
        raise ZeroDivisionError("so it is")
    if name == "seven":
        return Found(None, code=7)
    raise NotFound("there is no such machine", hint="Try list.")


COMMAND = Command(
    name="invirt-machine",
    section=8,
    summary="Machines.",
    description="What there is.",
    example="machine list",
    verbs=(
        Verb("show", "shows one", show, (Argument("name", sample="remus"),)),
        Verb("list", "lists all", list_all),
    ),
    do=lambda call: call.run(call.caller),
)


class Log:
    """A log that can be read."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, text: str, level: int = 0, *, program: str = "") -> None:
        self.lines.append(text)


def call(
    *argv: str, environ: dict[str, str] | None = None, audit: remctl.Audit | None = None
) -> tuple[int, list[str]]:
    log = Log()
    given = ALICE if environ is None else environ
    return remctl.main(COMMAND, argv, environ=given, audit=audit, write=log.write), log.lines


def test_success_is_logged_and_the_caller_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("list") == (0, ["command invirt-machine list from alice@INVIRT.TEST succeeded"])
    assert capsys.readouterr().out == "all of alice@INVIRT.TEST\n"


def test_failure_is_said_and_logged(capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = call("show", "remus")
    assert code == NotFound.exit_code
    assert lines == [
        "command invirt-machine show remus from alice@INVIRT.TEST failed: 'there is no such machine'"
    ]
    assert capsys.readouterr().err == "machine: there is no such machine\n  Try list.\n"


@pytest.mark.parametrize(
    "said", ["x from root/admin@INVIRT.TEST succeeded", "x' from root 'y", "x\ncommand", "x\x1b[2J\u202e", ""]
)
def test_nobody_s_words_pass_for_the_log_s(said: str) -> None:
    [line] = call("show", said)[1]
    words = shlex.split(line)
    assert line.isprintable()
    assert words[:3] == ["command", "invirt-machine", "show"]
    assert words[4:] == ["from", "alice@INVIRT.TEST", "failed:", "there is no such machine"]


def test_status_and_wrong_arguments_are_failures(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("show", "seven")[0] == 7
    code, lines = call("show")
    assert code == 2
    assert lines[0].endswith("failed: 'NAME is missing'")
    assert "usage: machine show" in capsys.readouterr().err


def test_a_bug_shows_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = call("show", "bug")
    assert code == 1
    assert lines[0].endswith("failed: 'ZeroDivisionError: so it is'")
    said = capsys.readouterr().err
    assert "internal error" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("user", [None, "", "alice", "alice@REALM\nx", "al ice@REALM"])
def test_nobody_runs_nothing(user: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    environ = {} if user is None else {"REMOTE_USER": user}
    code, lines = call("list", environ=environ)
    assert (code, lines) == (4, [])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["summary"], "machine show: shows one\nmachine list: lists all\n"),
        (["help"], "usage: machine"),
        (["--help"], "Example:\n  machine list"),
        (["help", "show"], "usage: machine show [--json] NAME\n"),
    ],
)
def test_help_and_summary(argv: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*argv) == (0, [])
    assert said in capsys.readouterr().out


def test_no_help_for_what_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("help", "fly")[0] == 2
    assert "There is: show, list." in capsys.readouterr().err


def test_audit_gets_every_outcome() -> None:
    seen: list[remctl.Outcome] = []
    call("list", audit=seen.append)
    call("show", "remus", audit=seen.append)
    assert [(outcome.arguments, outcome.exit_code, outcome.message) for outcome in seen] == [
        (("list",), 0, ""),
        (("show", "remus"), 3, "there is no such machine"),
    ]
    assert seen[0].caller == remctl.Caller("alice@INVIRT.TEST", "192.0.2.1")


def test_what_can_not_be_audited_has_not_succeeded(capsys: pytest.CaptureFixture[str]) -> None:
    def audit(outcome: remctl.Outcome) -> None:
        raise Unreachable("the database doesn't answer")

    assert call("list", audit=audit)[0] == Unreachable.exit_code
    assert call("show", "remus", audit=audit)[0] == NotFound.exit_code
    assert "the database doesn't answer" in capsys.readouterr().err


def test_a_program_without_sub_commands_summarises_itself() -> None:
    status = Command("status", 8, "How it is.", "At length.", "status")
    assert remctl.summary_text(whole(status)) == "status: How it is.\n"
