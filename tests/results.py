"""What is measured: shown as one table at the end, and added as JSON to the file $INVIRT_BENCH_JSON, if set.

Seconds are shown, and decide nothing: machines of one kind differ by a factor
of two.  What a test can fail by is a ratio to the bare thing, which is measured
in turn with it, in the same run.  A pytest plugin.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

ROUNDS = 3
TURNS = 4  # of two that are compared
FAULT = 2  # times off its limit: no noise any more, so the test fails


@dataclass(frozen=True)
class Result:
    """One number; bare: the same without us; limit: the most (or, if `at_least`, the least) it should be."""

    what: str
    value: float
    unit: str
    limit: float | None = None
    at_least: bool = False
    bare: float | None = None

    @property
    def reached(self) -> bool:
        """Whether it keeps its limit."""
        if self.limit is None:
            return True
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    @property
    def sound(self) -> bool:
        """Whether it keeps its limit but for noise; a limit missed by less is shown in the table."""
        if self.limit is None:
            return True
        return self.value * FAULT >= self.limit if self.at_least else self.value <= self.limit * FAULT


_results: list[Result] = []


def keep(result: Result) -> Result:
    """Put a result on the table."""
    _results.append(result)
    return result


def best(what: str, measure: Callable[[], float], limit: float, at_least: bool = False) -> None:
    """Measure a ratio until it keeps the limit, a few times at most: other work only makes it worse.

    Asserts it, but for noise.
    """
    made: list[Result] = []
    while not (made and made[-1].reached) and len(made) < ROUNDS:
        made.append(Result(what, measure(), "times", limit, at_least))
    result = keep((max if at_least else min)(made, key=lambda one: one.value))
    assert result.sound, result


def beside(
    what: str, ours: Callable[[], float], bare: Callable[[], float], limit: float
) -> tuple[float, float]:
    """As best(), of how many times the seconds of the bare thing ours takes; both are shown, and returned."""
    seconds: list[tuple[float, float]] = []

    def ratio() -> float:
        turns = [(ours(), bare()) for _ in range(TURNS)]
        seconds.extend(turns)
        mine, plain = map(min, zip(*turns, strict=True))
        return mine / plain

    best(f"{what}, to the bare thing", ratio, limit)
    mine, plain = map(min, zip(*seconds, strict=True))
    keep(Result(what, mine, "s", bare=plain))
    return mine, plain


def quickest(work: Callable[[], object], times: int) -> float:
    """Seconds that work takes at best, of so many times."""
    took = []
    for _ in range(times):
        began = time.monotonic()
        work()
        took.append(time.monotonic() - began)
    return min(took)


def longest(what: str, seconds: float, wanted: float) -> None:
    """Of what is done many times in a run, put the longest on the table, beside what is wanted of it."""
    result = Result(what, seconds, "s", wanted)
    before = next((one for one in _results if one.what == what), None)
    if before is None or seconds > before.value:
        _results[:] = [*(one for one in _results if one is not before), result]


Run = tuple[int, float]  # answers, and the CPU seconds that they took


def compare(what: str, ours: Callable[[], Run], theirs: Callable[[], Run], limit: float) -> None:
    """As best(), of the answers for a second of CPU, ours to theirs, which are measured in turn."""

    def speed(runs: list[Run]) -> float:
        answers, used = (sum(column) for column in zip(*runs, strict=True))
        return answers / used

    def ratio() -> float:
        turns = [(ours(), theirs()) for _ in range(TURNS)]
        speeds = [speed(list(runs)) for runs in zip(*turns, strict=True)]
        print("{}: {:.0f} to {:.0f} for a second of CPU".format(what, *speeds))
        return speeds[0] / speeds[1]

    best(what, ratio, limit, at_least=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist gives what it measured to the process that started it."""
    if output := getattr(session.config, "workeroutput", None):
        output["results"] = [asdict(one) for one in _results]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Which puts it on its table."""
    _results.extend(Result(**one) for one in getattr(node, "workeroutput", {}).get("results", ()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table, and the file."""
    for one in _results:
        limit = "" if one.limit is None else f"{'at least' if one.at_least else 'at most'} {one.limit:g}"
        bare = "" if one.bare is None else f"bare {one.bare:.4g}"
        mark = "" if one.reached else "  MISSED"
        terminalreporter.write_line(
            f"{one.what:<80} {one.value:>9.4g} {one.unit:<8} {limit:<14} {bare}{mark}".rstrip()
        )
    path = os.environ.get("INVIRT_BENCH_JSON")
    if path:
        before = json.loads(Path(path).read_text()) if Path(path).exists() else []
        rows = [asdict(one) | {"reached": one.reached} for one in _results]
        Path(path).write_text(json.dumps(before + rows, indent=2) + "\n")
