"""/api/1 in the pages' application: Flask finds what is asked for, bearer.py who asks."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

from flask import Flask, Response, request
from itsdangerous import URLSafeTimedSerializer

from invirt.base.errors import BadInput
from invirt.web import doors, forms, rates, reading, saying, session, site
from invirt.web.accounts import Accounts
from invirt.web.api import bearer as bearers
from invirt.web.api import openapi, resources, verbs, words
from invirt.web.api.bearer import Bearer
from invirt.web.api.openapi import BASE

Answer = Callable[..., Any]


def register(app: Flask, key: bytes, shared: rates.Rates, accounts: Accounts) -> None:
    """Add what is below /api/1, and the doors' tokens."""
    signing = session.signed(key, bearers.SALT)

    def rule(path: str, answer: Answer) -> None:
        def view(**parts: Any) -> Response:
            return _json(answer(_who(signing, shared, accounts, 1.0), given=_given(), **parts))

        app.add_url_rule(f"{BASE}/{path}", f"api {path}", view)

    def change(verb: str) -> Response:
        return _changed(_who(signing, shared, accounts, rates.CHANGE), verb.replace("/", " "))

    def said() -> Response:
        bearer = _who(signing, shared, accounts, 1.0)
        given = verbs.body(request.mimetype, request.content_length, request.stream.read)
        found = words.asked(forms.table().values(), words.words(given))
        if found.form.changes:
            shared.take(f"api {bearer.who}", rates.CHANGE - 1.0)
        return _json(words.say(bearer, found))

    rule("openapi.json", lambda bearer, given: openapi.document())
    for name in resources.LISTS:
        rule(name, partial(resources.listed, name=name))
    for path, (_, answer) in resources.ONE.items():
        rule(path, answer)
    for name in site.LISTS:
        rule(f"site/{name}", partial(resources.of_site, name=name))
    app.add_url_rule(f"{BASE}/verbs/<path:verb>", "api verbs", change, methods=["POST"])
    app.add_url_rule(f"{BASE}/words", "api words", said, methods=["POST"])
    app.add_url_rule("/sign-on/<name>/api", "api token", lambda name: _sealed(signing, name))


def _who(signing: URLSafeTimedSerializer, shared: rates.Rates, accounts: Accounts, cost: float) -> Bearer:
    """Whose token it is; raises SignOn or TooOften.  Who asks too often by programs still has pages."""
    token = bearers.given(request.headers)
    digest = bearers.digest(token)
    if digest is None:
        found = bearers.of_session(accounts, session.read(signing, token))
    else:
        found = bearers.of_row(reading.one(bearers.TOKEN, {"hash": digest}))
    shared.take(f"api {found.who}", cost)
    return found


def _sealed(signing: URLSafeTimedSerializer, name: str) -> Response:
    """Apache has signed somebody on, who gets a token instead of a cookie."""
    token = bearers.sealed(signing, doors.principal(name, request.headers), name)
    return _json({"token": token, "seconds": session.LASTS})


def _given() -> Mapping[str, str]:
    """The query's values; raises BadInput for one that is there twice."""
    if any(len(values) > 1 for _, values in request.args.lists()):
        raise BadInput("a name is there twice")
    return dict(request.args.items())


def _changed(bearer: Bearer, name: str) -> Response:
    form = verbs.known(name)
    given = verbs.body(request.mimetype, request.content_length, request.stream.read)
    found = verbs.change(bearer, form, given, request.headers.get("Idempotency-Key"))
    number = saying.begun(found)
    if number is None:
        return _json(found if isinstance(found, dict) else {"done": found})
    where = f"{BASE}/operations/{number}"
    answer = _json({"operation": number, "resource": where, "events": f"/streams/operations/{number}"}, 202)
    answer.headers["Location"] = where
    return answer


def _json(found: Any, status: int = 200) -> Response:
    """A record, or a page of rows with the way to the next."""
    following = ""
    if isinstance(found, resources.Page):
        following = f"{request.path}?{found.following}" if found.following else ""
        found = {"items": found.items, "next": following or None}
    answer = Response(json.dumps(found, default=_plain) + "\n", status, mimetype="application/json")
    if following:
        answer.headers["Link"] = f'<{following}>; rel="next"'
    return answer


def _plain(value: Any) -> Any:
    """Moments as ISO 8601, sums as the whole numbers that they are."""
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, Decimal):
        return int(value)
    raise TypeError(f"{type(value)} in an answer")
