"""Words of fs and pts, as those programs print them: what they mean, and what means nothing."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from invirt import config
from invirt.base.errors import BadInput, CommandFailed
from invirt.database.members import afs

RECORDED = Path(__file__).with_name("recorded")
PATH = "/afs/invirt.test/project/robotics"
LIST = f"""\
Access list for {PATH} is
Normal rights:
  robotics:admins rlidwka
  system:administrators rlidwk
  alice rlidwka
  -204 rlidwka
  1017 rlidwka
  192.0.2.7 rlidwka
  eve@other.test rlidwka
  reader rl
  carol.root rlidwka
Negative rights:
  bob a
  nobodies:here rlidwkaAH
"""
# Of groups, by their numbers: who is in them, and whom -expandgroups tells.
GROUPS: dict[str, tuple[int, str, str]] = {
    "robotics:admins": (-205, "bob dora -17 rcmd.web", "bob dora rcmd.web"),
    "nobodies:here": (-209, "dora", "dora"),
    "nobodies:none": (-210, "", ""),
    "outer:one": (-211, "alice outer:two prefixless", "alice dora erin"),
    "outer:two": (-212, "dora outer:one", "alice dora erin"),
    "open:all": (-213, "alice open:inner", "alice"),
    "open:inner": (-215, "system:authuser", ""),
    "prefixless": (-214, "erin", "erin"),
    "wrong:id": (7, "alice", "alice"),
    "system:anyuser": (-101, "", ""),
}
USERS = {user: 1000 + n for n, user in enumerate(("alice", "bob", "dora", "carol.root"))}
Cell = Callable[..., None]


@pytest.fixture
def cell(invirt_yaml: Path, monkeypatch: pytest.MonkeyPatch) -> Cell:
    """What the programs say from then on."""
    invirt_yaml.write_text(invirt_yaml.read_text() + "owners: {afs: {folder: /afs/invirt.test}}\n")
    config.reload()

    def say(acl: str, stderr: str = "", *, complaint: str = "") -> None:
        def run(argv: list[str], **_: object) -> subprocess.CompletedProcess[str]:
            if argv[1] == "listacl":
                assert argv[2:] == [PATH]
                return subprocess.CompletedProcess(argv, 0, acl, stderr)
            told, complained = pts(argv[2], argv[3:])
            return subprocess.CompletedProcess(argv, 0, told, complaint + complained)

        monkeypatch.setattr(afs, "run", run)

    return say


def pts(name: str, how: list[str]) -> tuple[str, str]:
    """What pts membership says, and complains of."""
    kind = "Expanded " if how == ["-expandgroups"] else ""
    if name in USERS:
        return f"{kind}Groups {name} (id: {USERS[name]}) is a member of:\n  robotics:admins\n", ""
    if name not in GROUPS:
        return "", f"pts: User or group doesn't exist so couldn't look up id for {name}\n"
    number, within, expanded = GROUPS[name]
    lines = "".join(f"  {one}\n" for one in (expanded if how else within).split())
    return f"{kind}Members of {name} (id: {number}) are:\n{lines}", ""


def acl(*given: str, taken: tuple[str, ...] = ()) -> str:
    normal = ["Normal rights:", *(f"  {one}" for one in given)] if given else []
    negative = ["Negative rights:", *(f"  {one}" for one in taken)] if taken else []
    return "\n".join([f"Access list for {PATH} is", *normal, *negative, ""])


def found() -> list[str]:
    return [one.removesuffix("@INVIRT.TEST") for one in afs.members("project/robotics")]


def recorded(name: str) -> str:
    """See the README there."""
    return (RECORDED / name).read_text()


def test_what_fs_has_printed_is_understood() -> None:
    many, taken, none, both = (
        afs.access_list(recorded(name.removeprefix("many/")), f"/afs/invirt.test/{name}")
        for name in ("many", "taken", "none", "many/both")
    )
    everybody = ("alice", "alice:crew", "carol.root", "192.0.2.7", "1009", "-1010", "eve@other.test")
    others = {"bob": "rlidwk", "dora": "rlidwkABCDEFGH"}
    readers = {"reader": "rl", "system:anyuser": "rl"}
    entries = {**dict.fromkeys(everybody, "rlidwka"), **others, **readers}
    ours = {"system:administrators": "rlidwka"}
    assert (many.given, many.taken) == ({**entries, **ours}, {})
    assert (taken.given, taken.taken) == (ours, entries)
    assert (none.given, none.taken) == ({}, {})
    assert both.given == {**ours, "alice": "rlidwka", "reader": "rl"}
    assert both.taken == {"alice": "a", "bob": "rlidwka"}


@pytest.mark.parametrize(
    ("file", "name", "who"),
    [
        ("group", "alice:outer", {"alice:crew", "alice", "192.0.2.7"}),
        ("group-expanded", "alice:outer", {"alice", "bob", "dora", "192.0.2.7"}),
        ("empty", "alice:nobody", set()),
        ("anyuser", "system:anyuser", set()),
        ("user", "dora", None),
        ("user-expanded", "dora", None),
    ],
)
def test_what_pts_has_printed_is_understood(file: str, name: str, who: set[str] | None) -> None:
    assert afs.membership(recorded(f"pts/{file}"), name) == who


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("absent", "doesn't exist"),
        ("denied", "required access rights"),
        ("outside", "not in AFS"),
        ("down", "timed out"),
        ("ptserver-down", "Input/output error"),
    ],
)
def test_where_fs_fails_nobody_changes(cell: Cell, name: str, said: str) -> None:
    cell("", stderr=recorded(f"errors/{name}"))
    with pytest.raises(CommandFailed, match=said):
        afs.members("project/robotics")


@pytest.mark.parametrize(
    ("name", "said"),
    [("unknown", "doesn't exist"), ("forbidden", "Permission denied"), ("pts-down", "not responding")],
)
def test_where_pts_complains_nobody_changes(cell: Cell, name: str, said: str) -> None:
    cell(LIST, complaint=recorded(f"errors/{name}"))
    with pytest.raises(CommandFailed, match=said):
        afs.members("project/robotics")


def test_who_may_administer_and_nobody_else(cell: Cell) -> None:
    """No numbers, computers, other cells; who reads is none; what is taken counts, by groups too."""
    cell(LIST)
    assert found() == ["alice", "carol/root"]


@pytest.mark.parametrize(
    ("given", "taken", "who"),
    [
        (("outer:one rlidwka",), (), ["alice", "dora", "erin"]),
        (("outer:one rlidwka",), ("dora a",), ["alice", "erin"]),
        (("alice rlidwka",), ("outer:two a",), []),
        (("alice rlidwka",), ("system:anyuser a",), []),
        (("alice rlidwka",), ("bob rl",), ["alice"]),
        (("alice rlidwka", "system:anyuser rl"), (), ["alice"]),
        (("prefixless rlidwka",), (), ["erin"]),
        (("nobodies:none a",), (), []),
        (("alice A",), (), []),
        ((), (), []),
    ],
)
def test_rights(cell: Cell, given: tuple[str, ...], taken: tuple[str, ...], who: list[str]) -> None:
    cell(acl(*given, taken=taken))
    assert found() == who


@pytest.mark.parametrize(
    "said",
    [
        "",
        "Access list for /afs/invirt.test/other is\nNormal rights:\n  alice rlidwka\n",
        f"Access list for {PATH} is\n  alice rlidwka\n",
        f"Access list for {PATH} is\nNormal rights:\n  alice rlidwkax\n",
        f"Access list for {PATH} is\nNormal rights:\n  alice bob rlidwka\n",
        f"Access list for {PATH} is\nNormal rights:\n  alice rl\n  alice a\n",
        f"Access list for {PATH} is\nNormal rights:\n\n  alice a\n",
        acl("system:anyuser rlidwka"),
        acl("system:authuser a"),
        acl("open:all a"),
        acl("unknown a"),
        acl("wrong:id a"),
        acl("alice a", taken=("unknown a",)),
        acl("alice a", taken=("open:all a",)),
    ],
)
def test_what_means_nothing_changes_nobody(cell: Cell, said: str) -> None:
    cell(said)
    with pytest.raises(CommandFailed):
        afs.members("project/robotics")


@pytest.mark.parametrize("given", [("alice rlidwka",), ("1017 rlidwka",), ()])
def test_who_is_not_signed_on_is_told_nothing(cell: Cell, given: tuple[str, ...]) -> None:
    """Anybody could have given the answer then, also that nobody administers it; fs says nothing of it."""
    cell(acl(*given), complaint=recorded("errors/unsigned"))
    with pytest.raises(CommandFailed, match="unauthenticated"):
        afs.members("project/robotics")


@pytest.mark.parametrize("name", ["../x", "a/../b", "a//b", "./a", "a/"])
def test_no_way_leads_out_of_the_folder(cell: Cell, name: str) -> None:
    cell(LIST)
    with pytest.raises(BadInput):
        afs.members(name)
