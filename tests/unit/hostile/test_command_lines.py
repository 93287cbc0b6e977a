"""Every program's command line: whatever is typed is understood, or refused in harmless words."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import inspect
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import strategies as st

from invirt.base import cli, warm
from invirt.base.cli import help
from invirt.base.errors import InvirtError
from invirt.host.commands import warm as of_hosts
from invirt.remote.commands import warm as of_remote
from tests.examples import given, thorough

ROOT = Path(__file__).parents[3]
MODULES = sorted(
    ".".join(path.relative_to(path.parents[3]).with_suffix("").parts)
    for path in ROOT.glob("invirt-*/python/invirt/*/commands/[a-z]*.py")
)

OF_WEB = ("user", "whence")  # arguments of web's, not of its verbs


def nothing(call: cli.Call) -> object:
    """What is understood is not done."""
    return cli.Found(None, shown=lambda _: "") if call.verb.shown else None


COMMANDS = [dataclasses.replace(importlib.import_module(module).COMMAND, do=nothing) for module in MODULES]


def known(command: cli.Command) -> Iterator[str]:
    """All words and options that a program knows."""
    for place in cli.whole(command).all():
        yield place.row.name
        yield from (name for option in place.row.options for name in option.names)


KNOWN = {command.name: sorted({"-h", "--help", *known(command)}) for command in COMMANDS}
VALUES = [
    "remus",
    "hda",
    "7",
    "-1",
    "9" * 30,
    "٣",
    "alice@INVIRT.TEST",
    "a\nb",
    "\x1b[2J",
    "\u202e",
    "--",
    "-",
    "",
]
ESCAPED = st.binary(max_size=5).map(lambda said: said.replace(b"\0", b"").decode(errors="surrogateescape"))
TEXT = st.text(max_size=9).map(lambda text: text.replace("\0", ""))


def words(command: cli.Command) -> st.SearchStrategy[list[str]]:
    """Its own words and others', more of the former."""
    own = st.sampled_from(KNOWN[command.name])
    return st.lists(st.one_of(own, own, own, st.sampled_from(VALUES), TEXT, ESCAPED), max_size=7)


LINES = st.sampled_from(COMMANDS).flatmap(lambda command: st.tuples(st.just(command), words(command)))


@given(LINES)
@thorough()
def test_any_words(invirt_yaml: Path, line: tuple[cli.Command, list[str]]) -> None:
    command, argv = line
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        code = cli.main(command, argv)
    assert code in (0, 2), (argv, errors.getvalue())
    assert bool(errors.getvalue()) == (code == 2), (argv, errors.getvalue())
    assert all(said.isprintable() for said in errors.getvalue().split("\n")), errors.getvalue()


def test_all_are_there() -> None:
    assert len(COMMANDS) > 20


PLACES = [place for command in COMMANDS for place in cli.whole(command).all()]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.path)
def test_help_fits_a_terminal(place: cli.Place) -> None:
    """And has an example, and says of each size which unit it is in."""
    text = help.text(place)
    assert f"Example:\n  {place.example.splitlines()[0]}" in text
    assert max(map(len, text.splitlines())) <= 110
    for argument in (*place.row.places, *place.row.options):
        assert bool(argument.unit) == ("SIZE" in argument.shown)
        assert argument.help or isinstance(argument, cli.Option) and argument.hidden


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.path)
def test_no_value_is_refused_by_a_traceback(invirt_yaml: Path, place: cli.Place) -> None:
    """Each of them by each argument: words at random meet but some."""
    for argument in (*place.row.places, *place.row.options):
        for value in (*VALUES, "/", "..", "a=b", "\udcff", "a\0b", "1" * 5000):
            with contextlib.suppress(InvirtError):
                argument.type(value)


VERBS = [
    (command, place, words) for command in COMMANDS if command.verbs for place, words in cli.examples(command)
]


def test_workers_have_the_patterns_of_what_they_are_told(
    invirt_yaml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiled before they are born."""
    commands = (*of_hosts.PROGRAMS, *of_remote.PROGRAMS)
    re.purge()
    warm.understand(*commands)
    monkeypatch.setattr("re._compiler.compile", lambda pattern, _: pytest.fail(f"{pattern} was not"))
    for command in commands:
        for _, words in cli.examples(command):
            assert cli.parsed(command, words)


@pytest.mark.parametrize(("command", "place", "words"), VERBS, ids=lambda one: getattr(one, "path", ""))
def test_examples_are_understood(
    invirt_yaml: Path, command: cli.Command, place: cli.Place, words: list[str]
) -> None:
    """And each verb's function takes what its row says."""
    call = cli.parsed(command, words)
    assert call and call.verb is place.row
    values = {name: value for name, value in call.values.items() if name not in OF_WEB}
    inspect.signature(call.verb.run).bind_partial(**values)
