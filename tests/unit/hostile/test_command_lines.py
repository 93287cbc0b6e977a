"""Every program's command line: whatever is typed is understood, or refused in harmless words."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import strategies as st

from invirt.base import cli
from tests.examples import given, thorough

ROOT = Path(__file__).parents[3]
MODULES = sorted(
    ".".join(path.relative_to(path.parents[3]).with_suffix("").parts)
    for path in ROOT.glob("invirt-*/python/invirt/*/commands/[a-z]*.py")
)
COMMANDS = [
    dataclasses.replace(importlib.import_module(module).COMMAND, run=lambda arguments: None)
    for module in MODULES
]


def known(parser: argparse.ArgumentParser) -> Iterator[str]:
    """All words and options that a program knows."""
    yield from parser._option_string_actions
    for word, (sub, _) in cli.sub_commands(parser).items():
        yield word
        yield from known(sub)


KNOWN = {command.name: sorted(set(known(command.parser()))) for command in COMMANDS}
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
        try:
            code = cli.main(command, argv)
        except SystemExit as end:  # argparse's
            code = int(str(end.code or 0))
    assert code in (0, 2), (argv, errors.getvalue())
    assert bool(errors.getvalue()) == (code == 2), (argv, errors.getvalue())
    assert all(said.isprintable() for said in errors.getvalue().split("\n")), errors.getvalue()


def test_all_are_there() -> None:
    assert len(COMMANDS) > 20


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_help_fits_a_terminal(command: cli.Command) -> None:
    """And has an example."""
    text = command.parser().format_help()
    assert f"Example:\n  {command.example.splitlines()[0]}" in text
    assert max(map(len, text.splitlines())) <= 110
