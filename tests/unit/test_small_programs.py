"""Programs around the tests and others' programs: what is asked of them is answered."""

from __future__ import annotations

import importlib
import inspect
import subprocess
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from invirt.base import cli
from invirt.base.cli import Command, Group, Verb
from invirt.database.commands import admin

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.children


def test_all_programs_say_how_they_are_used() -> None:
    """From a checkout."""

    def wrong(program: str) -> str:
        argv = [ROOT / "scripts/env", program, "--help"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
        told = done.returncode == 0 and done.stdout.startswith("usage: ")
        return "" if told else f"{program}: {done.stdout}{done.stderr}"

    programs = [path.name for folder in ("bin", "sbin") for path in ROOT.glob(f"invirt-*/{folder}/*")]
    assert len(programs) > 30
    with ThreadPoolExecutor(2) as pool:
        assert [told for told in pool.map(wrong, programs) if told] == []


def commands() -> Iterator[Command]:
    """All programs' tables of verbs, this checkout's own among them."""
    for path in ROOT.glob("*/python/invirt/*/commands/[a-z]*.py"):
        module = importlib.import_module(".".join(path.with_suffix("").parts[-4:]))
        yield from (one for one in vars(module).values() if isinstance(one, Command))
    yield importlib.import_module("invirt_lab.__main__").COMMAND


def leaves(rows: Iterable[Verb | Group]) -> Iterator[Verb]:
    for row in rows:
        yield from leaves(row.verbs) if isinstance(row, Group) else [row]


def test_each_function_takes_what_its_row_names() -> None:
    wrong, seen = [], 0
    for command in commands():
        if command.name == "invirt-remote-web":  # takes the user away before: see tests/unit/remote
            continue
        for verb in leaves(command.verbs):
            taken = inspect.signature(verb.run).parameters.values()
            seen += 1
            if any(one.kind is one.VAR_KEYWORD for one in taken):
                continue
            if missing := {one.name for one in verb.arguments} - {one.name for one in taken}:
                wrong.append(f"{command.name} {verb.name}: {', '.join(sorted(missing))}")
    assert seen > 60 and not wrong, (seen, wrong)


def test_packages_apply_nothing_that_the_administrator_has_not(checkout: Path) -> None:
    """A mistake that is being made in invirt.yaml stays one when packages come."""
    for script in (checkout / "debian").glob("*.postinst"):
        assert script.read_text().count("invirt-config apply |") == 0, script


def test_an_address_with_its_mask_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(admin.COMMAND, ["nic", "set", "00:16:3e:00:00:01", "--ip", "10.86.0.103/24"]) == 2
    assert "Say '10.86.0.103'" in capsys.readouterr().err
