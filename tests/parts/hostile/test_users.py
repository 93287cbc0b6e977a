"""Whatever users say to machine, control and web: done, or refused in words; others' is untouched."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator

import pytest
from hypothesis import strategies as st

from invirt import config
from invirt.base import remctl, validate
from invirt.base.cli import Command
from invirt.remote import remconffs, session
from invirt.remote.audit import record
from invirt.remote.commands import admin, control, machine, web
from tests.examples import given, thorough
from tests.parts.operations.conftest import ALICE, BOB, Site

WEB = "host/web.invirt.test@INVIRT.TEST"
PROGRAMS: dict[str, Command] = {
    "machine": machine.COMMAND,
    "admin": admin.COMMAND,
    "control": control.COMMAND,
    "web": web.COMMAND,
}
VERBS = st.sampled_from(
    ["create", "list", "show", "quota", "operations", "resize", "rename", "allow", "disallow", "delete"]
) | st.sampled_from(["status", "reboot", "shutdown", "destroy", "lvcreate", "lvremove", "listvms", "control"])
NAMES = st.sampled_from(
    ["remus", "romulus", "tullus", "hda", "hdb", "ALL", "host1", "root", "../x", "a" * 64]
)
PEOPLE = st.sampled_from(
    ["alice", "bob", ALICE, BOB, "eve@A@B", "a b@C", "ANYUSER", "x@Y\nANYUSER", "deny:bob"]
)
OPTIONS = st.sampled_from(
    [
        "--memory",
        "--disk",
        "--cpus",
        "--type",
        "--owner",
        "--description",
        "--key",
        "--json",
        "--yes",
        "--",
        "-h",
    ]
)
NUMBERS = st.sampled_from(
    ["0", "1", "64", "128", "-1", "1e3", "9" * 18, "9" * 40, "٣", "hda=1", "hda=x", "=1", ""]
)
TEXT = st.text(max_size=9).map(lambda text: text.replace("\0", ""))  # no argument of a process has one
ESCAPED = st.binary(max_size=5).map(lambda said: said.replace(b"\0", b"").decode(errors="surrogateescape"))
WORDS = st.one_of(NAMES, PEOPLE, OPTIONS, NUMBERS, TEXT, ESCAPED)
ARGUMENTS = st.builds(
    lambda verb, words: [verb, *words], VERBS | WORDS, st.lists(WORDS, max_size=6)
) | st.builds(lambda verb, name, words: [verb, name, *words], VERBS, NAMES, st.lists(WORDS, max_size=4))
CONTROL = st.builds(lambda name, words: [name, *words], NAMES | WORDS, st.lists(VERBS | WORDS, max_size=3))
SPOKEN = st.builds(lambda verb, user, words: [verb, user, *words], VERBS, PEOPLE, st.lists(WORDS, max_size=5))


@pytest.fixture
def rome(site: Site) -> Iterator[Site]:
    """remus is alice's, romulus is bob's; there is a web server, and no host is asked anything."""
    for name, who in (("remus", ALICE), ("romulus", BOB)):
        site.create(name, who=who)
    site.rows("UPDATE hosts SET enabled = false")
    with site.database.config.open("a") as file:
        file.write("web:\n  hostname: web.invirt.test\n")
    config.reload()
    yield site
    if session.is_open():
        session._Kept.connection.close()  # a process of its own would end here


def call(program: str, argv: list[str], who: str) -> tuple[int, str, str]:
    """Exit code, output and errors of a program, as remctld runs it; both in UTF-8."""
    out = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="surrogateescape")
    errors = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="backslashreplace")
    environ = {"REMOTE_USER": who, "REMOTE_ADDR": "192.0.2.1", "REMCTL_COMMAND": program}
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        code = remctl.main(
            PROGRAMS[program], argv, environ=environ, audit=record, write=lambda *_, **__: None
        )
    said = []
    for stream in (out, errors):
        stream.flush()
        said.append(stream.buffer.getvalue().decode(errors="surrogateescape"))  # type: ignore[attr-defined]
    return code, said[0], said[1]


def world(site: Site, owner: str) -> list[tuple[object, ...]]:
    """All of the owner's machines, and who may use them."""
    return site.rows(
        "SELECT m.*, d.name, d.size, a.principal FROM machines m JOIN owners o USING (owner_id)"
        " LEFT JOIN disks d USING (machine_id) LEFT JOIN machine_access a USING (machine_id)"
        " WHERE o.name = %s ORDER BY m.name, d.name, a.principal",
        owner,
    )


def sound(site: Site) -> None:
    """What the database holds is of the accepted form, and is rendered whole."""
    rows = site.rows("SELECT name, array(SELECT principal::text FROM machine_access a"
                     " WHERE a.machine_id = m.machine_id) FROM machines m")  # fmt: skip
    access = {str(name): list(who) for name, who in rows}  # type: ignore[call-overload]
    for name, who in access.items():
        assert validate.machine_name(name)
        assert all(validate.principal(one) for one in who)
    files = remconffs.render(1, access.items()).files
    assert len(files) == len(access) + 2
    for arguments, message in site.rows("SELECT arguments, message FROM audit"):
        assert f"{arguments}{message}".isprintable()
    site.rows("DELETE FROM audit")


def refused_in_words(code: int, out: str, errors: str) -> None:
    assert code in (0, 2, 3, 4, 5, 6, 7), errors
    assert "Traceback" not in out + errors
    assert "internal error" not in errors
    assert code == 0 or errors.strip()


@given(
    st.sampled_from(["machine", "control"]),
    ARGUMENTS | CONTROL,
    st.sampled_from([ALICE, BOB, "eve@INVIRT.TEST"]),
)
@thorough()
def test_users(rome: Site, program: str, argv: list[str], who: str) -> None:
    """Each touches nothing but what is theirs."""
    others = [owner for owner in ("alice", "bob") if not who.startswith(f"{owner}@")]
    before = [world(rome, owner) for owner in others]
    code, out, errors = call(program, argv, who)
    refused_in_words(code, out, errors)
    allowed = rome.rows("SELECT 1 FROM machine_access WHERE principal = %s", who)
    assert allowed or [world(rome, owner) for owner in others] == before
    sound(rome)
    rome.rows("DELETE FROM machine_access")


@given(ARGUMENTS | SPOKEN | CONTROL, st.sampled_from([WEB, WEB, WEB, ALICE, "host/web.invirt.test@OTHER"]))
@thorough()
def test_web(rome: Site, argv: list[str], who: str) -> None:
    """Who isn't the web server speaks for nobody."""
    before = [world(rome, owner) for owner in ("alice", "bob")]
    code, out, errors = call("web", argv, who)
    refused_in_words(code, out, errors)
    if who != WEB:
        assert [world(rome, owner) for owner in ("alice", "bob")] == before
    sound(rome)
    rome.rows("DELETE FROM machine_access")


@given(
    st.text(max_size=20) | PEOPLE | st.sampled_from(["", "alice@INVIRT.TEST\n", "alice@INVIRT.TEST ", "*"])
)
@thorough()
def test_callers(rome: Site, who: str) -> None:
    """A caller that remctld would never name sees and changes nothing."""
    code, out, errors = call("machine", ["allow", "remus", "eve"], who)
    refused_in_words(code, out, errors)
    assert (code == 0) == (who == ALICE)
    sound(rome)
    rome.rows("DELETE FROM machine_access")
