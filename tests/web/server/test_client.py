"""`invirt --web` before the real web server: words and exit codes as by remctl, by ticket or token."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pexpect
import pytest

from invirt_lab.browser import Answer
from tests.parts.namespace import python
from tests.parts.owned import machine
from tests.parts.realm import end
from tests.parts.remote.conftest import REMOTE, WEB
from tests.web.server.conftest import ROOT, WebServer, passed
from tests.web.server.test_api import by_password
from tests.web.server.test_api import token as made
from tests.web.server.test_progress import BEGUN, ENDED, STEP

Said = tuple[int, str, str]


@dataclass
class Person:
    """Somebody at a computer of their own, which trusts the site's authority."""

    web: WebServer
    home: Path
    ticket: dict[str, str]

    def says(self, typed: str, **more: str) -> Said:
        """The exit code of invirt, and what it prints."""
        argv, environment = self.typed(typed, more)
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=40)
        return done.returncode, done.stdout, done.stderr

    def typed(self, typed: str, more: dict[str, str]) -> tuple[list[str], dict[str, str]]:
        """What runs, and its environment."""
        environment = {
            **python(),
            "PATH": os.environ["PATH"],
            "LC_ALL": "C.UTF-8",
            "XDG_CONFIG_HOME": str(self.home),
            "SSL_CERT_FILE": str(self.web.folder / "server.crt"),
            **self.ticket,
            **more,
        }
        argv = [*self.web.enter, str(ROOT / "invirt-client/bin/invirt"), *shlex.split(typed)]
        return argv, environment

    def holds(self, token: str, mode: int = 0o600) -> None:
        """A token in its file."""
        (self.home / "invirt.token").write_text(f"{token}\n")
        (self.home / "invirt.token").chmod(mode)


@pytest.fixture
def alice(web: WebServer, tmp_path: Path) -> Person:
    """With a ticket."""
    (tmp_path / "invirt.yaml").write_text(f"remote: {REMOTE}\nweb: {WEB}\nrealm: INVIRT.TEST\n")
    return Person(web, tmp_path, web.realm.as_user("alice"))


@pytest.fixture(scope="module")
def rome(web: WebServer) -> Iterator[None]:
    """alice's remus and romulus, which are off; bob's castor; the remote server tells who follows."""
    assert web.remote
    telling = web.remote.namespace.start("/usr/sbin/invirt-operations", "tell")
    for name, whose in (("remus", "alice"), ("romulus", "alice"), ("castor", "bob")):
        machine(web.database, name, whose)
    try:
        yield
    finally:
        end(telling)


SAME = (
    *("list", "list --json", "show remus", "show remus --json", "show castor", "show castor --json", "quota"),
    *("status remus", "usage remus --of hour", "trash", "log", "key list", "token list"),
    *("resize remus", "resize remus --memory 1", "rename remus romulus", "rename remus romulus --json"),
    *(
        "delete remus",
        "share remus host/x.test",
        "unshare remus bob",
        "log --follow 999999",
        "admin host list",
    ),
    *("set remus --autostart no", "look list remus", "share remus 'ro m' --json", "undelete nothing"),
)


def by_web(typed: str) -> str:
    """The same, by the web server."""
    return typed.replace("admin ", "admin --web ") if typed.startswith("admin ") else f"{typed} --web"


@pytest.mark.parametrize("typed", SAME)
def test_what_is_said_is_the_same(alice: Person, rome: None, typed: str) -> None:
    """By both ways, to each stream, with the same exit code."""
    assert alice.says(by_web(typed)) == alice.says(typed)


def test_a_machine_s_life(alice: Person, rome: None) -> None:
    """What takes long is waited for, and tells how it ended; the environment names the server, too."""
    named = {"INVIRT_WEB": f"https://{WEB}"}
    (alice.home / "invirt.yaml").unlink()
    code, out, err = alice.says("create ours --memory 64M --disk 1G", **named)
    assert code == 0 and "ours" in out and not err, (out, err)
    code, out, err = alice.says("create ours --memory 64M --disk 1G --json", **named)
    assert code == json.loads(out)["code"] == 2 and "called ours already" in err
    assert alice.says("resize ours --memory 96M", **named) == (
        0, "ours is resized; it counts from the next boot on\n", "",
    )  # fmt: skip
    code, out, err = alice.says("start ours --no-wait", **named)
    assert code == 0 and out.strip().isdigit() and not err
    code, told, err = alice.says(f"log --follow {out.strip()}", **named)
    assert code == 0 and "is done" in told + err
    assert alice.says("status ours", **named)[1].startswith("ours is running")
    assert alice.says("delete ours --yes", **named)[0] == 5
    assert alice.says("kill ours", **named)[0] == 0
    keyed = [alice.says("create twice --memory 64M --disk 1G --key one", **named) for _ in range(2)]
    assert keyed[0] == keyed[1] and keyed[0][0] == 0
    for typed in (
        *("rename ours renamed", "delete renamed --yes", "undelete renamed --name again"),
        *("delete again --yes", "purge again --yes", "delete twice --yes"),
    ):
        code, out, err = alice.says(typed, **named)
        assert (code, err) == (0, "") and out, typed


def test_who_waits_at_a_terminal_sees_it_go_and_comes_again(
    web: WebServer, alice: Person, rome: None
) -> None:
    """The step that it is at, in one line; a stream that is cut is taken up again."""
    number = int(web.database.execute(BEGUN)[0][0])
    web.database.execute(STEP, ("doing", number, 1))
    argv, environment = alice.typed(f"log --web --follow {number}", {"TERM": "xterm", "NO_COLOR": "1"})
    terminal = pexpect.spawn(argv[0], argv[1:], env=environment, timeout=60, encoding="utf-8")
    terminal.expect("\r\x1b\\[K  [a-z ]+")
    assert web.streams
    end(web.streams)
    web.streams = passed(web, "streams")
    for position in range(1, 5):
        web.database.execute(STEP, ("done", number, position))
    web.database.execute(ENDED, (number,))
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0 and "is done" in terminal.before


def test_a_token_does_for_a_ticket(web: WebServer, alice: Person, rome: None) -> None:
    """What it is for, and no more; a file that others read is refused."""
    person = Person(web, alice.home, {})
    api = by_password(web, "alice")
    person.holds(made(api, "for-remus", machine=["remus"]))
    assert person.says("show remus --web") == alice.says("show remus")
    for typed, code in {
        "show romulus": 3, "list": 4, "quota": 4, "trash": 4, "log": 4, "key list": 4, "admin host list": 4,
        "start remus": 4, "delete remus --yes": 4, "look share remus": 4, "log remus --follow 1": 4,
    }.items():  # fmt: skip
        assert (
            person.says(f"{typed} --web" if "admin" not in typed else "admin --web host list")[0] == code
        ), typed
    person.holds(made(api, "writes", machine=["remus"], write=True))
    assert person.says("resize remus --memory 96M --web")[0] == 0
    assert person.says("resize romulus --memory 96M --web")[0] == 3
    person.holds(made(api, "all"))
    assert person.says("list --web") == alice.says("list")
    for mode in (0o640, 0o604):
        person.holds("invirt_x", mode)
        code, _, err = person.says("list --web")
        assert code == 8 and "chmod 600" in err
    person.holds("not a token")
    assert person.says("list --web")[0] == 8
    person.holds(f"invirt_{'x' * 43}")
    code, _, err = person.says("list --web")
    assert code == 4 and "no such token" in err


def test_names_are_completed(alice: Person, rome: None) -> None:
    """Those that the web server tells, where the environment names it."""
    asked = {"_INVIRT_COMPLETE": "bash_complete", "COMP_WORDS": "invirt start rem", "COMP_CWORD": "2"}
    named = {"INVIRT_WEB": WEB, "XDG_CACHE_HOME": str(alice.home)}
    assert alice.says("", **asked, **named)[1].split() == ["plain,remus"]


def test_without_either(web: WebServer, alice: Person) -> None:
    """Who has neither learns of both; a server that isn't trusted is told nothing; one that is none, so."""
    person = Person(web, alice.home, {"KRB5CCNAME": "/nonexistent"})
    code, _, err = person.says("list --web")
    assert code == 4 and "kinit" in err and "invirt.token" in err
    person.holds("invirt_secret")
    code, _, err = person.says("list --web", SSL_CERT_FILE="/dev/null")
    assert code == 7 and "can't be trusted" in err
    assert person.says("list --web", INVIRT_WEB="http://web.invirt.test")[0] == 8
    assert person.says("list --web", INVIRT_WEB="https://localhost:1")[0] == 7


def asked(web: WebServer, body: object, source: str = "") -> Answer:
    """What the server answers to alice for that, who asks from an address."""
    api, raw = by_password(web, "alice"), json.dumps(body).encode()
    api.browser.source = source
    head = {"Host": WEB, "Connection": "close", **api.headers, "Content-Type": "application/json"}
    head["Content-Length"] = str(len(raw))
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return api.browser.say(f"POST /api/1/words HTTP/1.1\r\n{lines}\r\n".encode() + raw)


HOSTILE = (
    {}, {"words": []}, {"words": ["machine"]}, {"words": "machine list"}, {"words": ["web", "list"]},
    {"words": ["machine", "list"], "x": 1}, {"words": ["machine", ["list"]]}, {"words": ["machine", "verbs"]},
    {"words": ["machine", "--json", "list"]}, {"words": ["machine", "list", "--whence=198.51.100.4"]},
    {"words": ["machine", "quota", "ask", "--why", "--whence"]},
    {"words": ["machine", "\ud800"]},
    {"words": ["machine", "li\0st"]},
    {"words": ["machine", "x"] * 200}, {"words": ["machine", "list", "x" * 5000]},
    {"words": ["machine", "create", "slow"]}, {"words": ["control", "remus", "create", "--key=new"]},
)  # fmt: skip


@pytest.mark.parametrize("body", HOSTILE, ids=lambda body: json.dumps(body)[:40])
def test_what_is_nothing_is_not_said(web: WebServer, rome: None, body: object) -> None:
    """Nor does anybody speak as another, or have remote wait for what takes long."""
    answer = asked(web, body)
    assert answer.status in (400, 404), answer
    assert json.loads(answer.text)["code"] in (2, 3)


@pytest.mark.parametrize(
    "words",
    ["quota", "quota asked", "show remus", "control remus status", "key remove SHA256:x", "quota --json"],
)
def test_from_where_it_was_said_is_audited(web: WebServer, rome: None, words: str) -> None:
    """Wherever the verb stands in the line."""
    said = words.split() if words.startswith("control") else ["machine", *words.split()]
    assert asked(web, {"words": said}, "127.0.0.98").status == 200
    newest = "SELECT principal, address FROM audit ORDER BY audit_id DESC LIMIT 1"
    assert web.database.execute(newest) == [("alice@INVIRT.TEST", "127.0.0.98")]


def test_the_first_word_after_the_verb_is_who_acts(web: WebServer, rome: None) -> None:
    """Whoever else is named there is an argument, and no actor."""
    for words in (
        ["machine", "show", "bob", "castor"],
        ["machine", "list", "bob"],
        ["control", "bob", "castor", "status"],
    ):
        answer = asked(web, {"words": words})
        assert answer.status == 404 or json.loads(answer.text)["code"] == 2, (words, answer)
