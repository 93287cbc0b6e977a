"""The pages as a WSGI application: Flask finds the page and reads the form, routes.py says the rest."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Flask, Response, redirect, request, session
from flask.sessions import SecureCookieSessionInterface
from werkzeug.exceptions import HTTPException

from invirt.base import log, validate
from invirt.base.errors import Denied, InvirtError, NotFound
from invirt.web import doors, forms, rates, reading, show
from invirt.web import session as signed
from invirt.web.accounts import Accounts
from invirt.web.answers import Answer, Go, Page, Visit, status
from invirt.web.api import app as api
from invirt.web.api import problem
from invirt.web.routes import ROUTES, Route, Whom

HERE = Path(__file__).parent
PROGRAM = "invirt-web-pages"
LONGEST = 64 << 10  # bytes of a form
CHANGED = 3600  # seconds that a browser keeps what is static, under the name of its content
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self';"
    " img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Sessions(SecureCookieSessionInterface):  # type: ignore[misc]  # flask has no type hints
    """Flask's, in the cookies that the streams read, too."""

    def get_signing_serializer(self, app: Flask) -> Any:
        """How they are signed."""
        return signed.signed(app.secret_key)


def make(key: bytes) -> Flask:
    """The application; key signs its sessions."""
    app = Flask("invirt.web", static_folder=str(HERE / "static"), template_folder=None)
    app.secret_key = key
    app.session_interface = Sessions()
    app.config.update(
        SESSION_COOKIE_NAME=signed.COOKIE,
        SESSION_COOKIE_SECURE=True,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_PATH="/",
        MAX_CONTENT_LENGTH=LONGEST,
        SEND_FILE_MAX_AGE_DEFAULT=CHANGED,
    )
    shared, accounts = rates.Rates(), Accounts(doors.still)
    for number, route in enumerate(ROUTES):
        methods = ["POST"] if route.changes else ["GET"]
        app.add_url_rule(route.rule, str(number), _view(route, shared, accounts), methods=methods)
    api.register(app, key, shared, accounts)
    app.register_error_handler(Exception, _failed)
    app.before_request(_note_whence)
    app.after_request(_headers)
    app.teardown_request(lambda _: reading.done())
    logging.getLogger("werkzeug").disabled = True
    return app


def _note_whence() -> None:
    """From where Apache was asked, which it adds to what browsers say of that themselves."""
    said = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
    forms.whence.set(validate.address(said) if validate.passes(said, validate.address) else "")


def _view(route: Route, shared: rates.Rates, accounts: Accounts) -> Callable[..., Response]:
    def view(**parts: Any) -> Response:
        visit = _visit(route, shared, accounts)
        return _response(route.answer(visit, **parts), visit)

    return view


def _visit(route: Route, shared: rates.Rates, accounts: Accounts) -> Visit:
    """Who asks for what; raises Denied or NotFound where the page is not for them, and TooOften."""
    if route.whom is Whom.ANYONE:
        return Visit(values=request.args.to_dict(), headers=request.headers)
    who = accounts.principal(session)
    shared.take(who, rates.CHANGE if route.changes else 1.0)
    values = (request.form if route.changes else request.args).to_dict()
    if route.changes:
        signed.check(session, values)
    asked = route.whom is Whom.SITE or not route.changes
    administrator = asked and reading.administers(who)
    if route.whom is Whom.SITE and not administrator:
        raise NotFound("there is no such page")
    return Visit(who, administrator, values)


def _response(answer: Answer, visit: Visit) -> Response:
    if isinstance(answer, Go):
        if answer.who is not None:
            session.clear()
        if answer.who:
            signed.begin(session, answer.who, answer.door)
        if answer.told:
            session["told"] = answer.told[:500]
        return redirect(answer.to, 303)
    frame = {
        "who": visit.who,
        "administrator": visit.administrator,
        "secret": session.get("secret", ""),
        "told": session.pop("told", "") if "told" in session else "",
        "here": request.path,
        "address": request.host,
        "script": answer.script,
    }
    response = Response(show.page(answer, frame), answer.status, mimetype=answer.kind)
    if answer.again is not None and not answer.script:
        response.headers["Refresh"] = str(answer.again)
    return response


def _failed(error: Exception) -> Response:
    """What went wrong, as a page; a bug's traceback is for the log."""
    if request.path.startswith("/api/"):
        return problem.answer(error, PROGRAM)
    if isinstance(error, signed.SignOn) and request.method == "GET":
        return redirect(f"/sign-on?next={signed.within(request.path)}", 303)
    if isinstance(error, HTTPException):
        words = "there is no such page" if error.code == 404 else str(error.name).lower()
        return _error_page(Denied(words), error.code or 500)
    if isinstance(error, InvirtError):
        return _error_page(error, status(error))
    log.bug(error, program=PROGRAM)
    return _error_page(InvirtError("something is wrong with this page", "It has been written down."), 500)


def _error_page(error: InvirtError, code: int) -> Response:
    again = 10 if code == 503 and request.method == "GET" else None
    try:
        who = signed.principal(session)
    except Denied:
        who = ""
    return _response(Page("error", {"error": error}, code, again), Visit(who))


def _headers(response: Response) -> Response:
    response.headers.update(HEADERS)
    if request.path.startswith("/look/"):
        response.headers["Referrer-Policy"] = "no-referrer"  # the address is the secret
    if not request.path.startswith("/static/"):
        response.headers["Cache-Control"] = "no-store"
    return response
