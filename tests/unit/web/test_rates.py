"""How much one user gets."""

from __future__ import annotations

import pytest

from invirt.web import rates


def test_a_user_s_share_comes_back_and_is_nobody_else_s() -> None:
    shared = rates.Rates()
    for _ in range(int(rates.BURST)):
        shared.take("alice", 1.0, now=100.0)
    with pytest.raises(rates.TooOften):
        shared.take("alice", 1.0, now=100.0)
    shared.take("bob", 1.0, now=100.0)
    shared.take("alice", 1.0, now=100.0 + 2 / rates.SECOND)
    with pytest.raises(rates.TooOften) as raised:
        shared.take("alice", rates.CHANGE, now=100.0 + 2 / rates.SECOND)
    assert "Go on in" in raised.value.hint


def test_it_is_never_more_than_at_the_beginning() -> None:
    shared = rates.Rates()
    shared.take("alice", 1.0, now=1.0)
    for _ in range(int(rates.BURST)):
        shared.take("alice", 1.0, now=1e6)
    with pytest.raises(rates.TooOften):
        shared.take("alice", 1.0, now=1e6)
