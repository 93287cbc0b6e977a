"""docs/operations.md is what the code does."""

from __future__ import annotations

import string
from pathlib import Path

import pytest

from invirt.remote.operations import KINDS, STEPS, document
from invirt.remote.operations.model import Kind, Plan, Planned, Step


def test_the_table_is_up_to_date(checkout: Path) -> None:
    found = (checkout / "docs" / "operations.md").read_text()
    assert found == document.text(), "run: python3 -m invirt.remote.operations.document > docs/operations.md"


def test_every_step_says_what_undoes_it() -> None:
    for step in STEPS.values():
        assert step.undo_words
        assert (step.undo or step.unreserve) or step.undo_words.startswith("nothing")


def test_whatever_is_sent_to_a_host_is_undone_or_called_off_there() -> None:
    """So that a command which comes late finds a higher token; behind a pivot nothing is given up."""
    behind = {
        step.name
        for kind in KINDS.values()
        for number, step in enumerate(kind.steps)
        if any(before.pivot for before in kind.steps[:number])
    }
    assert all(step.undo for step in STEPS.values() if step.do and step.name not in behind)


def test_words_are_filled_in_from_what_the_steps_know() -> None:
    known = {"name", "disk", "size", "old_size", "host", "hostname", "new_name", "new_disk", "ip"}
    known |= {"memory", "cpus", "old_memory", "old_cpus", "to", "pool", "progress", "system"}
    for step in STEPS.values():
        for words in (step.words, step.undo_words, step.records):
            assert {name for _, name, _, _ in string.Formatter().parse(words) if name} <= known


def test_a_step_that_records_says_what() -> None:
    for kind in KINDS.values():
        assert all(STEPS[step.name] is step for step in kind.steps)
        assert all(bool(step.record) == bool(step.records) for step in kind.steps)


def _nothing(*_: object) -> None:
    """Records nothing."""


PLAIN = Step("plain", "", "")
PIVOT = Step("pivot", "", "", pivot=True)
RECORD = Step("record", "", "", record=_nothing)


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ((PIVOT, PLAIN, PIVOT), "pivot is a second pivot"),
        ((RECORD, PIVOT), "record records before the pivot"),
        ((PLAIN, RECORD), "record records before the pivot"),
    ],
)
def test_what_could_be_neither_undone_nor_ended_is_refused(steps: tuple[Step, ...], why: str) -> None:
    """As a kind, and as the plan of one operation."""
    with pytest.raises(ValueError, match=why):
        Kind("odd", "", lambda *_: Plan(None, []), steps)
    with pytest.raises(ValueError, match=why):
        Plan(None, [Planned(step, {}) for step in steps])


@pytest.mark.parametrize("steps", [(), (PLAIN,), (PLAIN, PIVOT, RECORD, PLAIN)])
def test_what_is_recorded_behind_the_pivot_is_taken(steps: tuple[Step, ...]) -> None:
    Kind("even", "", lambda *_: Plan(None, []), steps)
