"""Who sits at the terminal is asked for what can't be guessed, and again for what doesn't do."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable

import pytest

from invirt.base.errors import BadInput
from invirt.setup import answers, asking

Terminal = Callable[[str], list[str]]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Types these lines, an empty one where there are no more; returns the questions."""

    def types(lines: str) -> list[str]:
        asked: list[str] = []
        typed = iter(lines.splitlines())

        def answer(question: str) -> str:
            assert len(asked) < 100
            asked.append(question)
            return next(typed, "")

        monkeypatch.setattr(builtins, "input", answer)
        monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
        return asked

    return types


def test_what_can_be_guessed_is(terminal: Terminal) -> None:
    asked = terminal("vm.invirt.test\n\n\n192.0.2.1\n\n\n\n\nalice\n")
    found = asking.ask()
    assert (found.realm, found.kerberos.make, found.roles) == ("VM.INVIRT.TEST", True, answers.ROLES)
    assert (found.addresses.first, found.addresses.last) == ("192.0.2.128", "192.0.2.254")
    assert found.user == "alice" and len(asked) == 9
    assert "[VM.INVIRT.TEST]" in asked[1] and "[192.0.2.128]" in asked[5]


def test_what_does_not_do_is_asked_for_again(terminal: Terminal, capsys: pytest.CaptureFixture[str]) -> None:
    """With what was said as the guess, so that only the mistake is typed anew."""
    asked = terminal("vm.invirt.test\nwrong realm\n\n192.0.2.1\n\n\n\nremote dns\n\n\nINVIRT.TEST\n")
    asked_roles = 7
    with pytest.raises(AssertionError):  # it goes on asking: there is no database server
        asking.ask()
    assert "[remote dns]" in asked[9 + asked_roles] and "[vm.invirt.test]" in asked[9]
    said = capsys.readouterr().err
    assert "realm: 'wrong realm' is not a Kerberos realm" in said and "database server" in said
    assert "/tmp" not in said


def test_nobody_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    with pytest.raises(BadInput, match="nobody is there"):
        asking.ask()
