"""Passes: for one user, machine, host and kind, and for a minute."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from unittest.mock import patch

import pytest

from invirt.base.errors import Denied
from invirt.web import session
from invirt.web.streams.passes import LASTS, SALT, Passes

KEY = b"k" * 32
HERE = SimpleNamespace(machine_id=7, host="host1.x.test")
AWAY = SimpleNamespace(machine_id=7, host="host2.x.test")
OFF = SimpleNamespace(machine_id=7, host=None)
OTHER = SimpleNamespace(machine_id=8, host="host1.x.test")
ALICE = ("alice@X", HERE, "Serial")


@pytest.fixture
def passes() -> Passes:
    return Passes(session.signed(KEY, SALT))


@contextmanager
def later(seconds: float) -> Iterator[None]:
    now = time.time() + seconds
    with patch("time.time", return_value=now):
        yield


def test_it_lets_in_whom_it_is_for(passes: Passes) -> None:
    for asked in (ALICE, ("alice@X", OFF, "Screen")):
        given = passes.give(*asked)
        with later(LASTS - 1):
            passes.check(given, *asked)


@pytest.mark.parametrize(
    "asked",
    [("bob@X", HERE, "Serial"), ("alice@X", OTHER, "Serial"), ("alice@X", AWAY, "Serial"),
     ("alice@X", OFF, "Serial"), ("alice@X", HERE, "Screen")],
)  # fmt: skip
def test_nobody_and_nothing_else(passes: Passes, asked: tuple[str, SimpleNamespace, str]) -> None:
    with pytest.raises(Denied):
        passes.check(passes.give(*ALICE), *asked)


def test_it_ends(passes: Passes) -> None:
    given = passes.give(*ALICE)
    with later(LASTS + 2), pytest.raises(Denied):
        passes.check(given, *ALICE)


def test_what_is_none(passes: Passes) -> None:
    """Another's signature, a session's, a changed one, nothing."""
    given = passes.give(*ALICE)
    bound = ["alice@X", 7, "host1.x.test", "Serial"]
    body, when, signature = given.split(".")
    for wrong in (
        *("", "x", given[:-1], f"{given}x", f"{body}.{when}.", f"{body}x.{when}.{signature}", "\0", "é"),
        str(session.signed(KEY).dumps(bound)),
        str(session.signed(b"o" * 32, SALT).dumps(bound)),
    ):
        with pytest.raises(Denied):
            passes.check(wrong, *ALICE)
