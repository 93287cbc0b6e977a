"""Sessions: who is signed on, for how long, and by which forms."""

from __future__ import annotations

import time
from typing import Any

import pytest

from invirt.base.errors import Denied
from invirt.web import session

ALICE = "alice@INVIRT.TEST"


def test_a_door_takes_persons_alone() -> None:
    assert session.at_door({"Remoteuser": ALICE}) == ALICE
    for said in (
        "",
        "alice",
        "host/web.invirt.test@INVIRT.TEST",
        f"{ALICE},bob@INVIRT.TEST",
        "a b@X",
        f"{ALICE}\n",
    ):
        with pytest.raises(Denied):
            session.at_door({"Remoteuser": said})
    with pytest.raises(Denied):
        session.at_door({"X-Remoteuser": ALICE})


def test_a_session_lasts_as_long_as_a_ticket(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[str, Any] = {}
    session.begin(kept, ALICE, "password")
    assert session.principal(kept) == ALICE
    began = time.time()
    for seconds, good in ((session.LASTS - 2, True), (session.LASTS + 2, False), (-3600, False)):
        monkeypatch.setattr(time, "time", lambda at=began + seconds: at)
        if good:
            assert session.principal(kept) == ALICE
        else:
            with pytest.raises(session.SignOn):
                session.principal(kept)


def test_nothing_is_kept_of_the_session_before() -> None:
    kept: dict[str, Any] = {"told": "something", "secret": "x"}
    session.begin(kept, ALICE, "password")
    assert set(kept) == {"who", "door", "since", "secret"} and len(kept["secret"]) >= 32


@pytest.mark.parametrize("given", [{}, {"secret": ""}, {"secret": "None"}, {"secret": "ä"}])
def test_a_form_wants_the_session_s_secret(given: dict[str, str]) -> None:
    kept: dict[str, Any] = {}
    session.begin(kept, ALICE, "password")
    for of in (kept, {}):
        if of or given.get("secret") != "None":
            with pytest.raises(Denied):
                session.check(of, given)
    session.check(kept, {"secret": kept["secret"]})


@pytest.mark.parametrize("path", ["/", "/machines/remus", "/machines/a-b", "/site/audit"])
def test_own_pages_are_led_to(path: str) -> None:
    assert session.within(path) == path


@pytest.mark.parametrize(
    "path", ["", "//x", "/\\x", "https://x", "/a?b", "/a#b", "/sign-off", "/ä", "/a\r\nX: y", "x"]
)
def test_nothing_else_is(path: str) -> None:
    assert session.within(path) == "/"
