"""docs/operations.md is what the code does."""

from __future__ import annotations

import string
from pathlib import Path

from invirt.remote.operations import KINDS, STEPS, document


def test_the_table_is_up_to_date(checkout: Path) -> None:
    found = (checkout / "docs" / "operations.md").read_text()
    assert found == document.text(), "run: python3 -m invirt.remote.operations.document > docs/operations.md"


def test_every_step_says_what_undoes_it() -> None:
    for step in STEPS.values():
        assert step.undo_words
        assert (step.undo or step.unreserve) or step.undo_words.startswith("nothing")


def test_whatever_is_sent_to_a_host_is_undone_or_called_off_there() -> None:
    """So that a command which comes late finds a higher token."""
    assert all(step.undo for step in STEPS.values() if step.do)


def test_words_are_filled_in_from_what_the_steps_know() -> None:
    known = {"name", "disk", "size", "old_size", "host", "hostname", "new_name", "new_disk", "ip"}
    known |= {"memory", "cpus", "old_memory", "old_cpus"}
    for step in STEPS.values():
        for words in (step.words, step.undo_words):
            assert {name for _, name, _, _ in string.Formatter().parse(words) if name} <= known


def test_only_the_last_step_records() -> None:
    """So that what is recorded never has to be undone."""
    for kind in KINDS.values():
        assert all(STEPS[step.name] is step for step in kind.steps)
        assert all(step.record is None for step in kind.steps[:-1])
