"""What the console server tells sshd, NSS and conserver, and what it is asked: exactly what was meant."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from invirt.base import validate
from invirt.base.errors import BadInput
from invirt.console import consolefs, shell, userdb
from invirt.host.console import conserver
from invirt.host.console.keys import HARMLESS, Keys, Output
from tests.examples import given, thorough
from tests.unit.hostile.test_rendered import NAMES, PRINCIPALS, TEXT, accepted

KEY = r"(ssh-ed25519|ecdsa-sha2-nistp256|sk-ssh-ed25519@openssh\.com) AAAA[A-Za-z0-9+/]{1,20}={0,2}"
KEYS = st.from_regex(KEY, fullmatch=True) | TEXT | st.sampled_from(
    ["ssh-ed25519 AAAA\nssh-ed25519 BBBB", "ssh-ed25519 AAAA root@x", 'command="id" ssh-ed25519 AAAA', "#"]
)  # fmt: skip
HOSTS = st.from_regex(r"[a-z0-9]{1,5}(\.[a-z0-9]{1,5}){0,2}", fullmatch=True) | TEXT
PROOFS = PRINCIPALS.map("gssapi-with-mic {}".format) | KEYS.map("publickey {}".format) | TEXT


class Rows:
    """A database that answers every question for remus with the same rows."""

    def __init__(self, rows: Sequence[tuple[Any, ...]]) -> None:
        self.given = list(rows)

    def rows(self, query: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        return self.given if values in (("remus",), (7,), ()) else []


@given(st.lists(PRINCIPALS, max_size=4), st.lists(KEYS, max_size=4), st.lists(HOSTS, max_size=1), PROOFS)
@thorough()
def test_homes(tmp_path: Path, who: list[str], keys: list[str], host: list[str], proof: str) -> None:
    """As sshd and the shell read them: a principal or a key a line, and nobody else."""
    home = tmp_path / "remus"
    home.mkdir(exist_ok=True)
    for file, values in ((".k5login", who), ("keys", keys), ("host", host)):
        _, render = consolefs.FILES[file]
        (home / file).write_bytes(render([(value,) for value in values]).encode())
    people = [one for one in who if accepted(one, validate.principal)]
    assert (home / ".k5login").read_bytes().decode().split("\n") == [*people, ""]
    good = [key for key in keys if accepted(key, validate.public_key)]
    lines = (home / "keys").read_bytes().decode().split("\n")
    assert [line.split(" ", 1) for line in lines[:-1]] == [["restrict,pty", key] for key in good]
    assert all(re.fullmatch(r"[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,3}", key) for key in good)
    known = {f"gssapi-with-mic {one}" for one in people} | {f"publickey {key}" for key in good}
    assert shell.Home(home).admits((proof,)) == (proof in known)
    try:
        assert shell.Home(home).host() in (host[0].strip() if host else None, None)
    except shell.Ended:
        assert not accepted(host[0].strip(), validate.host_name)


@given(st.lists(st.sampled_from([".", "..", "remus", ".k5login", "keys", "host", ""]) | NAMES, max_size=4))
def test_paths(parts: list[str]) -> None:
    """There are machines and their files, and nothing else, however it is asked for."""
    path = "/" + "/".join(parts)
    tree = consolefs.ConsoleFS(Rows([("alice@INVIRT.TEST",)]))  # type: ignore[arg-type]
    kinds = {"/": True, "/remus": True, "/remus/": True} | {
        f"/remus/{file}": False for file in consolefs.FILES
    }
    assert tree.is_folder(path) is kinds.get(path)


@given(NAMES, st.integers(1, 2**31), st.sampled_from(["xen", "qemu"]))
def test_lists_of_consoles(name: str, number: int, hypervisor: str) -> None:
    """A line that conserver reads as one console with one master, one user and one program, or none."""
    if not accepted(name, validate.machine_name):
        with pytest.raises(BadInput):
            conserver.console(name, number, hypervisor)
        return
    line = conserver.console(name, number, hypervisor)
    assert line.count("\n") == 1
    words = re.findall(r'"[^"]*"|[^\s;{}]+', line)
    assert words[:6] == ["console", name, "master", "127.0.0.1", "rw", f"{name}.{number}"]
    assert [words[6], words[8], len(words)] == ["logfile", "exec", 10]
    assert words[7].endswith(f"/{number}.log")
    assert words[9].endswith(f' # d_{name} {number}"')
    assert (f"xl console d_{name} " in words[9]) is (hypervisor == "xen")


TYPED = st.lists(
    st.sampled_from([b"\x05", b"c", b"L", b"|", b".", b"\xff", b"\x05c", b"P9\r", b"x"])
    | st.binary(max_size=3)
)


@given(TYPED, st.booleans())
def test_escapes(typed: list[bytes], whole: bool) -> None:
    """However it is cut: ^Ec goes before harmless letters alone, 0xFF is doubled, all else passes."""
    keys = Keys()
    parts = [b"".join(typed)] if whole else typed
    passed = b"".join(keys.passing(part)[0] for part in parts)
    assert {match[1][0] for match in re.finditer(rb"(?s)\x05c(.)", passed)} <= HARMLESS
    assert not re.sub(rb"\xff\xff", b"", passed).count(b"\xff")
    if b"\x05" not in b"".join(typed):
        assert passed.replace(b"\xff\xff", b"\xff") == b"".join(typed)
    assert keys.left == bool(re.search(rb"\x05c\.", passed))


def test_a_refused_escape_leaves_none_half_open() -> None:
    """A ^E that has passed, and then the rest of a command without its own."""
    keys = Keys()
    assert keys.passing(b"\x05\x05cLcL") == (b"\x05\x05c\rcL", b"L")


@given(st.lists(st.binary(max_size=4) | st.sampled_from([b"\xff", b"\xff\xff"])), st.integers(1, 5))
def test_what_conserver_says(said: list[bytes], cut: int) -> None:
    """The bytes as they were, however the protocol's are cut; its commands are nothing."""
    plain = b"".join(said)
    wire = plain.replace(b"\xff", b"\xff\xff") + b"\xffEtouch\xffG\xffZ"
    output = Output()
    parts = [output.plain(wire[at : at + cut]) for at in range(0, len(wire), cut)]
    assert b"".join(parts) == plain + b"touch"
    assert output.answer == b"\xff."


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | NAMES | st.sampled_from([200007, 200008, 7.0]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=5,
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "userName": st.just("remus") | VALUES,
        "uid": st.sampled_from([200007, 200008, 200007.0, True, 0]) | VALUES,
        "service": st.just(userdb.SERVICE) | VALUES,
        "gid": VALUES,
    },
)
METHODS = st.sampled_from(["GetUserRecord", "GetGroupRecord", "GetMemberships", "x"]).map(
    f"{userdb.API}.".__add__
)
CALLS = st.fixed_dictionaries({"method": METHODS | VALUES, "parameters": FIELDS | VALUES}) | VALUES
MESSAGES = CALLS.map(lambda call: json.dumps(call).encode()) | st.binary(max_size=40)


@given(MESSAGES)
def test_logins(message: bytes) -> None:
    """Whatever is asked, an answer of the protocol; and a record only of the machine that there is."""
    database = userdb.UserDB(Rows([(7, "remus")]), range(200000, 200100), 990)
    reply = json.loads(database.answer(message))
    if "error" in reply:
        assert reply["error"].startswith((f"{userdb.API}.", "org.varlink.service."))
        return
    call = json.loads(message)
    assert call["method"] == f"{userdb.API}.GetUserRecord"
    parameters = call["parameters"]
    assert parameters.get("userName") == "remus" or parameters.get("uid") == 200007
    assert parameters.get("userName") in (None, "remus")
    assert parameters.get("uid") in (None, 200007)
    record = reply["parameters"]["record"]
    assert (record["userName"], record["uid"], record["gid"]) == ("remus", 200007, 990)
    assert (record["homeDirectory"], record["shell"]) == ("/consolefs/remus", userdb.SHELL)


@pytest.mark.parametrize("message", [b"[" * 60_000, b'{"a":' * 12_000, b"9" * 60_000], ids=range(3))
def test_what_breaks_parsers(message: bytes) -> None:
    database = userdb.UserDB(Rows([(7, "remus")]), range(200000, 200100), 990)
    assert "error" in json.loads(database.answer(message))


@given(st.dictionaries(st.sampled_from(["TERM", "HOME", "LD_PRELOAD", "SSH_ORIGINAL_COMMAND"]), TEXT), TEXT)
def test_what_users_bring_along(environ: dict[str, str], word: str) -> None:
    """No command runs, whatever it is called."""
    with pytest.raises(shell.Ended):
        shell.refuse_commands(environ | {"SSH_ORIGINAL_COMMAND": word}, None, True)
    if word != shell.PROGRAM:
        with pytest.raises(shell.Ended):
            shell.refuse_commands(environ, word, True)
