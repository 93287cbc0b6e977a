"""A session ends when the account does: the real KDC is asked."""

from __future__ import annotations

import json
import time
from typing import Any

from invirt.web import session
from invirt.web.api import bearer
from invirt_lab.browser import Browser
from tests.parts.owned import machine
from tests.parts.waiting import until
from tests.web.server.conftest import WebServer
from tests.web.server.test_progress import BEGUN, STEP, told

LONG = 600  # seconds, after which a KDC is asked
SECRET = "known"


def kept(user: str, ago: float, door: str = "password") -> dict[str, Any]:
    """What a door gave a user, so many seconds ago."""
    made: dict[str, Any] = {}
    session.begin(made, f"{user}@INVIRT.TEST", door)
    return {**made, "since": int(time.time() - ago)}


def signed_on(web: WebServer, user: str, ago: float = LONG, door: str = "password") -> Browser:
    """A browser with a session of the pages; its forms hold SECRET."""
    made = web.browser()
    having = {**kept(user, ago, door), "secret": SECRET}
    made.cookies[session.COOKIE] = session.signed(session.key(web.folder)).dumps(having)
    return made


def token(web: WebServer, user: str) -> dict[str, str]:
    sealed = session.signed(session.key(web.folder), bearer.SALT).dumps(kept(user, LONG))
    return {"Authorization": f"Bearer {sealed}"}


def test_who_is_there_stays(web: WebServer) -> None:
    assert signed_on(web, "alice").ask("/").status == 200
    assert web.browser().ask("/api/1/machines", headers=token(web, "alice")).status == 200


def test_who_was_deleted_or_locked_is_out(web: WebServer) -> None:
    """At pages, forms, the API and streams, though their sessions would last for hours."""
    for user, ends in (("eva", "delprinc -force eva"), ("mark", "modprinc -allow_tix mark")):
        web.realm.password(user)
        assert web.browser(user).ask("/").status == 200
        web.realm.administer(ends)
        browser = signed_on(web, user)
        assert browser.ask("/").to == "/sign-on?next=/"
        form = browser.ask("/new", {"secret": SECRET, "name": "left", "memory": "128", "disk": "1"})
        assert form.status == 403 and "may not sign on any more" in form.text
        answer = web.browser().ask("/api/1/machines", headers=token(web, user))
        assert answer.status == 401 and "may not sign on any more" in json.loads(answer.text)["detail"]
        refused = signed_on(web, user).ask("/streams/operations/1")
        assert refused.status == 401 and "may not sign on any more" in refused.text
    assert web.browser().sign_on("mark", "open-sesame").status == 401


def test_what_is_open_ends_with_the_account(web: WebServer) -> None:
    web.realm.password("gone")
    machine(web.database, "lasting", "alice")
    web.database.execute(
        "INSERT INTO machine_access (machine_id, principal)"
        " SELECT machine_id, 'gone@INVIRT.TEST' FROM machines WHERE name = 'lasting'"
    )
    number = int(web.database.execute(BEGUN.replace("'remus'", "'lasting'"))[0][0])
    stream = signed_on(web, "gone", 297).open(f"/streams/operations/{number}")
    assert told(stream)
    web.realm.administer("delprinc -force gone")
    time.sleep(4)
    web.database.execute(STEP, ("doing", number, 1))
    assert told(stream) is None
    stream.close()


def test_a_kdc_that_is_silent(web: WebServer) -> None:
    """It ends nobody's session at once; after an hour without a word of it nobody is let in."""
    web.realm.stop()
    try:
        assert signed_on(web, "bob").ask("/").status == 200
        assert web.browser().ask("/api/1/machines", headers=token(web, "bob")).status == 200
        assert signed_on(web, "carol", 3700).ask("/").status == 303
    finally:
        web.realm.start()
    until(lambda: signed_on(web, "carol", 3700).ask("/").status == 200, web.log, 40)
