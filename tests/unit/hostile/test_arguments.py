"""Whatever a host's programs are told: done, or refused in words; nothing else is touched."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest
from hypothesis import strategies as st

from invirt.base import remctl
from invirt.host.commands import domain, status, volume
from invirt.host.storage.volumes import NAME
from tests.examples import given, thorough
from tests.unit.host.conftest import state

__all__ = ["state"]  # the fixture

PROGRAMS = {"domain": domain.COMMAND, "volume": volume.COMMAND, "host": status.COMMAND}
REMOTE = "host/remote.invirt.test@INVIRT.TEST"
VERBS = st.sampled_from(["create", "shutdown", "reboot", "destroy", "status", "list"]) | st.sampled_from(
    ["resize", "rename", "remove", "restore", "fence", "help", "summary"]
)
NAMES = st.sampled_from(
    ["remus", "romulus", "hda", "hdb", "ALL", "../x", "a" * 64, "-x", "remus\nromulus", ""]
)
NUMBERS = st.integers(-2, 9).map(str) | st.sampled_from(
    ["9" * 19, "1" + "0" * 18, "1e3", "+1", "٣", " 1", "01"]
)
WORDS = st.one_of(NAMES, NUMBERS, NUMBERS, st.text(max_size=9).map(lambda text: text.replace("\0", "")))
SENSIBLE = st.tuples(
    VERBS, st.sampled_from(["remus", "romulus"]), st.sampled_from(["hda", "hdb"]), st.integers(1, 9).map(str)
).map(list)
ARGUMENTS = st.builds(lambda head, tail: head + tail, SENSIBLE, st.lists(WORDS, max_size=3)) | st.builds(
    lambda verb, tail: [verb, *tail], VERBS | WORDS, st.lists(WORDS, max_size=5)
)
CALLERS = (
    st.just(REMOTE) | st.text(max_size=12) | st.sampled_from(["", "a@B\nc@D", "ANYUSER", "x" * 300 + "@X"])
)


def call(program: str, argv: list[str], who: str) -> tuple[int, str, str]:
    """Exit code, output and errors of a program, as remctld runs it."""
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        code = remctl.main(PROGRAMS[program], argv, environ={"REMOTE_USER": who}, write=lambda *_, **__: None)
    return code, out.getvalue(), errors.getvalue()


def touched(folder: Path) -> set[str]:
    """All files of the host but those that tests put there."""
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}
    return files - {"invirt.yaml", "xen/invirt-database"}


MACHINE = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
OWN = re.compile(
    rf"(tokens|run/locks)/({MACHINE}|trash\.[0-9]+)|fake/(domains|booted|said)/d_{MACHINE}|volumes/(trash/)?(purge\.[0-9.]+)?{NAME.pattern}"
)


@given(st.sampled_from(sorted(PROGRAMS)), ARGUMENTS, CALLERS)
@thorough()
def test_hosts_programs(state: Path, program: str, argv: list[str], who: str) -> None:
    before = touched(state)
    code, out, errors = call(program, argv, who)
    asked = argv in (["summary"],) or argv[:1] in (["help"], ["--help"], ["-h"])
    assert code in (0, 2, 3, 4, 5), (argv, errors)
    assert "Traceback" not in errors + out
    assert "internal error" not in errors
    assert bool(errors.strip()) == (code != 0)
    if who != REMOTE and not asked and code == 0:
        assert re.fullmatch(r"[A-Za-z0-9._+-]+(/[A-Za-z0-9._+-]+){0,2}@[A-Z0-9.-]+", who)
    assert all(OWN.fullmatch(path) for path in touched(state)), touched(state)
    if code in (2, 4) and not errors.startswith(("domain: disk", "volume: disk")):
        assert {path for path in touched(state) if "tokens" not in path and "locks" not in path} >= {
            path for path in before if "tokens" not in path and "locks" not in path
        }


@pytest.mark.parametrize("word", ["x" * 130_000, "\udcff", "\x1b[2J"], ids=range(3))
def test_odd_words(state: Path, word: str) -> None:
    for argv in ([word], ["create", word, "1"], ["create", "remus", word], ["help", word]):
        code, out, errors = call("domain", argv, REMOTE)
        assert code == 2
        assert not out
        assert errors
    assert not touched(state)
