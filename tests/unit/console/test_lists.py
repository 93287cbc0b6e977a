"""What the console server says of machines: records, homes, lists."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from invirt.base.errors import BadInput, Unreachable
from invirt.console import consolefs, userdb
from invirt.host.console import conserver, conserver_list
from invirt.host.console.conserver import needless


class Answers:
    """A database that knows one machine, and counts how often it is asked."""

    def __init__(self, *, up: bool = True) -> None:
        self.asked, self.up = 0, up

    def rows(self, query: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        self.asked += 1
        if not self.up:
            raise Unreachable("frozen")
        return [(7, "remus")] if values[0] in (7, "remus") else []


def ask(database: Answers, method: str, **parameters: object) -> dict[str, Any]:
    service = userdb.UserDB(database, range(200000, 200100), 990)
    call = {"method": f"io.systemd.UserDatabase.{method}", "parameters": parameters}
    answer: dict[str, Any] = json.loads(service.answer(json.dumps(call).encode()))
    return answer


@pytest.mark.parametrize("by", [{"userName": "remus"}, {"uid": 200007}, {"userName": "remus", "uid": 200007}])
def test_a_machine_is_a_login(by: dict[str, object]) -> None:
    record = ask(Answers(), "GetUserRecord", **by)["parameters"]["record"]
    assert (record["userName"], record["uid"], record["gid"]) == ("remus", 200007, 990)
    assert record["homeDirectory"] == "/consolefs/remus"


@pytest.mark.parametrize(
    ("method", "parameters", "error"),
    [
        ("GetUserRecord", {"userName": "Root!"}, "NoRecordFound"),
        ("GetUserRecord", {"userName": "root"}, "NoRecordFound"),
        ("GetUserRecord", {"uid": 0}, "NoRecordFound"),
        ("GetUserRecord", {"uid": 200100}, "NoRecordFound"),
        ("GetUserRecord", {}, "EnumerationNotSupported"),
        ("GetMemberships", {"userName": "remus"}, "NoRecordFound"),
        ("GetGroupRecord", {"gid": 0}, "NoRecordFound"),
        ("GetUserRecord", {"userName": "remus", "service": "other"}, "BadService"),
    ],
)
def test_what_is_not_about_a_machine_never_asks(
    method: str, parameters: dict[str, object], error: str
) -> None:
    database = Answers(up=False)
    assert ask(database, method, **parameters)["error"] == f"io.systemd.UserDatabase.{error}"
    assert database.asked == 0


def test_no_answer_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    answer = ask(Answers(up=False), "GetUserRecord", userName="remus")
    assert answer["error"] == "io.systemd.UserDatabase.ServiceNotAvailable"
    assert ask(Answers(), "GetUserRecord", userName="romulus")["error"].endswith("NoRecordFound")
    conflict = ask(Answers(), "GetUserRecord", userName="remus", uid=200008)
    assert conflict["error"].endswith("ConflictingRecordFound")


@pytest.mark.parametrize(
    "message", [b"", b"null", b"[]", b'{"method": 1}', b'{"method": "x", "parameters": 3}']
)
def test_nonsense_is_answered(message: bytes) -> None:
    answer = userdb.UserDB(Answers(), range(1, 2), 1).answer(message)
    assert "error" in json.loads(answer)


def test_lists_hold_whitelisted_lines_only() -> None:
    assert consolefs.k5login([("alice@INVIRT.TEST",), ("evil\nroot@X",), ("*",)]) == "alice@INVIRT.TEST\n"
    assert consolefs.keys([("ssh-ed25519 AAAAB3",), ("x",)]) == "restrict,pty ssh-ed25519 AAAAB3\n"
    with pytest.raises(BadInput):
        conserver.console("x; rw *", 5, "xen")


def test_a_conserver_that_was_not_there_is_told_later(tmp_path: Path) -> None:
    keeper = conserver_list.Keeper(tmp_path / "list", tmp_path / "pid")
    keeper.begin()
    assert (tmp_path / "list").read_text() == ""
    keeper.update(["console remus { rw remus.5; }\n"])
    assert (tmp_path / "list").read_text() == "console remus { rw remus.5; }\n"
    (tmp_path / "pid").write_text("1\n")  # not a conserver
    assert conserver_list.running(tmp_path / "pid") is None


def test_processes_of_machines_that_went_or_came_again_are_needless() -> None:
    remus, castor, another = ("remus", 5), ("castor", 6), ("remus", 7)
    served = [(remus, 1), (castor, 2), (remus, 3)]
    assert needless(served, {remus}) == [1, 2]
    assert needless(served, {remus, castor}) == [1]
    assert needless(served, {another}) == [1, 2, 3]
