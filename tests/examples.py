"""Hypothesis' examples, counted: `given` from here is Hypothesis' own, and the sum is printed at the end.

INVIRT_TEST_EXAMPLES is the number for each test that is cheap; thorough(n)
is for tests whose examples cost n times as much.  A pytest plugin.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import hypothesis
import pytest
from hypothesis import HealthCheck, settings

Test = TypeVar("Test", bound=Callable[..., Any])


class _Tried:
    examples = 0
    tests = 0


def given(*strategies: Any, **named: Any) -> Callable[[Test], Test]:
    """hypothesis.given, whose examples are counted."""

    def decorate(test: Test) -> Test:
        first = True

        @functools.wraps(test)
        def counted(*args: Any, **kwargs: Any) -> Any:
            nonlocal first
            _Tried.tests += first
            _Tried.examples += 1
            first = False
            return test(*args, **kwargs)

        made: Test = hypothesis.given(*strategies, **named)(counted)
        return made

    return decorate


def thorough(price: int = 1) -> Callable[[Test], Test]:
    """A share of the examples, for a test that uses fixtures of its own; they are set up once."""
    return settings(
        max_examples=max(10, settings.default.max_examples // price),
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist gives its numbers to the process that started it."""
    if output := getattr(session.config, "workeroutput", None):
        output["examples"] = (_Tried.examples, _Tried.tests)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Which adds them up."""
    examples, tests = getattr(node, "workeroutput", {}).get("examples", (0, 0))
    _Tried.examples += examples
    _Tried.tests += tests


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many examples were tried."""
    if _Tried.tests:
        terminalreporter.write_line(f"hostile examples: {_Tried.examples} in {_Tried.tests} tests")
