"""For how long a session is somebody's, by what is told of the account."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from invirt.web import session
from invirt.web.accounts import AGAIN, FRESH, GOOD, Accounts

ALICE = "alice@INVIRT.TEST"


@dataclass
class Clock:
    """The two clocks of a process; moved by hand."""

    now: float = 1e9

    def __call__(self) -> float:
        return self.now


@dataclass
class Teller:
    """Whoever knows of accounts."""

    says: bool | None = True
    asked: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, door: str, who: str) -> bool | None:
        self.asked.append((door, who))
        return self.says


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "time", made)
    monkeypatch.setattr(time, "monotonic", lambda: made.now - 9e8)
    return made


def begun(door: str = "password") -> dict[str, Any]:
    kept: dict[str, Any] = {}
    session.begin(kept, ALICE, door)
    return kept


def test_a_good_account_is_asked_about_now_and_then(clock: Clock) -> None:
    teller = Teller()
    accounts, kept = Accounts(teller), begun()
    for _ in range(int(2 * GOOD)):
        assert accounts.principal(kept) == ALICE
        clock.now += 1
    assert set(teller.asked) == {("password", ALICE)}
    assert 2 * GOOD / FRESH - 2 <= len(teller.asked) <= 2 * GOOD / FRESH


def test_who_is_gone_is_refused_once_it_is_known(clock: Clock) -> None:
    teller = Teller(False)
    accounts, kept = Accounts(teller), begun()
    clock.now += FRESH - 1
    assert accounts.principal(kept) == ALICE
    clock.now += 1
    for _ in range(int(3 * AGAIN)):
        with pytest.raises(session.SignOn, match="may not sign on any more"):
            accounts.principal(kept)
        assert accounts.gone(kept)
        clock.now += 1
    assert len(teller.asked) == 3
    assert accounts.principal(begun()) == ALICE, "a door has let them in again"


def test_where_nobody_tells_a_session_is_good_for_an_hour(clock: Clock) -> None:
    teller = Teller(None)
    accounts, kept = Accounts(teller), begun()
    clock.now += GOOD - 1
    assert accounts.principal(kept) == ALICE
    clock.now += 1
    with pytest.raises(session.SignOn, match="for an hour"):
        accounts.principal(kept)
    assert not accounts.gone(kept), "what is open stays open"
    teller.says = True
    clock.now += AGAIN
    assert accounts.principal(kept) == ALICE


def test_an_answer_is_about_one_door_and_one_account(clock: Clock) -> None:
    accounts = Accounts(lambda door, who: door == "file")
    clock.now -= FRESH
    file, password = begun("file"), begun("password")
    clock.now += FRESH
    assert accounts.principal(file) == ALICE
    assert accounts.gone(password) and not accounts.gone(file)


def test_a_session_of_before_there_were_doors_ends_within_an_hour(clock: Clock) -> None:
    accounts, kept = Accounts(lambda door, who: None if not door else True), begun()
    del kept["door"]
    clock.now += GOOD
    with pytest.raises(session.SignOn):
        accounts.principal(kept)
