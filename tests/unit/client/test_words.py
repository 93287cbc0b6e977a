"""What invirt types means in remctl's words, and back."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from invirt.base import cli
from invirt.base.errors import BadInput
from invirt.client import call, words
from invirt.client.commands.invirt import COMMAND
from invirt.client.groups import add_key
from invirt.client.site import Site

CREATE = ("machine", "create", "remus", "--memory=512M", "--disk=10G")
MEANT = {
    "create remus --memory 512M --disk 10G": [CREATE],
    "create remus --memory 512M --disk 10G --start": [CREATE, ("control", "remus", "create")],
    "create remus --memory 512M --disk 10G --console": [CREATE, ("control", "remus", "create")],
    "create remus --memory 512M --disk 10G --pool ssd": [(*CREATE, "--pool=ssd")],
    "create remus --memory 512M --disk 10G --install debian-13 --console": [
        CREATE,
        ("control", "remus", "install", "--autoinstall=debian-13", "--yes"),
    ],
    "install remus --autoinstall debian-12": ("control", "remus", "install", "--autoinstall=debian-12"),
    "list": ("machine", "list"),
    "stop remus": ("control", "remus", "shutdown"),
    "kill remus": ("control", "remus", "destroy"),
    "resize remus --disk hda=20G --disk hdb=1G": (
        *("machine", "resize", "remus", "--disk=hda=20G", "--disk=hdb=1G"),
    ),
    "set remus --autostart no": ("machine", "set", "remus", "--autostart=no"),
    "set remus --owner bob": ("machine", "set", "remus", "--owner=bob"),
    "offers": ("machine", "offers"),
    "quota ask --memory 16G --owner cs": ("machine", "quota", "ask", "--owner=cs", "--memory=16G"),
    "quota asked": ("machine", "quota", "asked"),
    "quota show cs": ("machine", "quota", "cs"),
    "quota cs": ("machine", "quota", "cs"),
    "quota --json": ("machine", "quota"),
    "audit remus": ("machine", "audit", "remus"),
    "accept remus": ("machine", "accept", "remus"),
    "decline remus": ("machine", "decline", "remus"),
    "rename remus romulus": ("machine", "rename", "remus", "romulus"),
    "share remus bob": ("machine", "allow", "remus", "bob"),
    "unshare remus bob": ("machine", "disallow", "remus", "bob"),
    "delete remus --yes": ("machine", "delete", "remus", "--yes"),
    "undelete 7 --name romulus": ("machine", "undelete", "7", "--name=romulus"),
    "quota": ("machine", "quota"),
    "admin host set host1 --disable": ("admin", "host", "set", "host1", "--disable"),
    "key list": ("machine", "key", "list"),
    "key remove SHA256:x": ("machine", "key", "remove", "SHA256:x"),
    "token add backup --machine remus --machine romulus --write --days 9": (
        *("machine", "token", "add", "backup"),
        *("--machine=remus", "--machine=romulus", "--write", "--days=9"),
    ),
    "look share remus": ("machine", "look", "share", "remus"),
    "look list remus": ("machine", "look", "list", "remus"),
    "look end remus --number 7": ("machine", "look", "end", "remus", "--number=7"),
    "group add robotics bob --keeper": ("machine", "group", "add", "robotics", "bob", "--keeper"),
    "group list": ("machine", "group", "list"),
    "token list": ("machine", "token", "list"),
    "token remove backup": ("machine", "token", "remove", "backup"),
    "log remus": ("machine", "operations", "remus"),
    "log --follow 12": ("machine", "operations", "--follow=12"),
    "start remus --no-wait": ("control", "remus", "create", "--no-wait"),
}


@pytest.mark.parametrize("typed", MEANT)
def test_what_is_typed_is_said(typed: str) -> None:
    asked = cli.parsed(COMMAND, typed.split())
    assert asked and asked.run() == MEANT[typed]


@pytest.mark.parametrize("further", ["--start", "--console", "--install=debian-13"])
def test_what_is_not_waited_for_is_not_booted_yet(further: str) -> None:
    asked = cli.parsed(COMMAND, ["create", "remus", "--no-wait", further])
    with pytest.raises(BadInput, match="before it is made"):
        asked and asked.run()


class Server:
    """Answers each call with the next of these: seconds that it takes, and its exit code (None: cut off)."""

    def __init__(self, *answers: tuple[float, int | None]) -> None:
        self.answers, self.now = list(answers), 0.0

    def say(self, *_: object) -> int:
        """See call.say()."""
        seconds, code = self.answers.pop(0)
        self.sleep(seconds)
        if code is None:
            raise call.CutOff("no answer any more")
        return code

    def sleep(self, seconds: float) -> None:
        """See time."""
        self.now += seconds


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        ([(2, 0)], 0),
        ([(2, 5)], 5),
        ([(720, 5), (720, 5), (2, 0)], 0),
        ([(3, None), (1, 7)], 7),
        ([(720, 5), (3, 5)], 5),
    ],
)
def test_who_follows_comes_again_until_there_is_an_end(
    answers: list[tuple[float, int | None]], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(*answers)
    monkeypatch.setattr(call, "say", server.say)
    monkeypatch.setattr(call.time, "sleep", server.sleep)
    monkeypatch.setattr(call.time, "monotonic", lambda: server.now)
    lines = call.Lines(io.StringIO(), str)
    assert call.follow(Site("remote", "R"), ("machine", "operations"), lines, lines) == code
    assert not server.answers


def test_a_key_is_the_user_s_own_unless_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    with pytest.raises(BadInput, match="ssh-keygen"):
        add_key(None)
    for name in ("id_rsa.pub", "id_ed25519.pub", "other.pub"):
        (tmp_path / ".ssh" / name).write_text(f"{name} AAAA me@here\n")
    assert add_key(None)[3] == "id_ed25519.pub AAAA me@here"
    assert add_key(tmp_path / ".ssh/other.pub")[3] == "other.pub AAAA me@here"


@pytest.mark.parametrize("typed", ["console -oProxyCommand=x", "start --help=1", "start", "lst", "list x"])
def test_what_is_nothing_goes_nowhere(typed: str) -> None:
    with pytest.raises(BadInput):
        cli.parsed(COMMAND, typed.split())


SAID = {
    "machine: there is no machine x that you may use": "invirt: there is no machine x that you may use",
    "  First: control remus shutdown.": "  First: invirt stop remus.",
    "machine list shows yours; its owner: machine allow NAME PRINCIPAL.": (
        "invirt list shows yours; its owner: invirt share NAME PRINCIPAL."
    ),
    "the machine lists": "the machine lists",
}


@pytest.mark.parametrize("line", SAID)
def test_what_the_server_says_to_type_is_of_this_command(line: str) -> None:
    assert words.translated(line) == SAID[line]


def test_pieces_become_lines_that_a_terminal_survives() -> None:
    stream = io.StringIO()
    lines = call.Lines(stream, str)
    for piece in (b"r\xc3", b"\xb6mus is \x1b[2Joff\nand", b" ends"):
        lines.write(piece)
    lines.write(b"", final=True)
    assert stream.getvalue() == "römus is ?[2Joff\nand ends\n"


def test_colours_are_for_terminals() -> None:
    assert call.on_terminal(io.StringIO(), words.coloured)("remus running") == "remus running"
    assert words.coloured("remus running") == "remus \033[32mrunning\033[0m"
    assert words.coloured("off-site is a name") == "off-site is a name"
