"""Errors as application/problem+json (RFC 9457): hint says what to do, code is the exit code of programs."""

from __future__ import annotations

import json
from http import HTTPStatus

from flask import Response
from werkzeug.exceptions import HTTPException

from invirt.base import log
from invirt.base.errors import InvirtError
from invirt.web.answers import status
from invirt.web.session import SignOn

TYPE = "application/problem+json"
APACHE = {
    400: ("this is no request of HTTP", "See /api/1/openapi.json.", 2),
    405: ("this is no method for this path", "See /api/1/openapi.json.", 2),
    408: ("the request didn't come to its end in time", "Send it again.", 1),
    411: ("the length of what is sent is not told", "Send Content-Length.", 2),
    413: ("what is sent is longer than 64 KiB", "Send less.", 2),
    502: ("the API doesn't answer", "Try again in a minute.", 7),
    503: ("the API doesn't answer", "Try again in a minute.", 7),
}  # detail, hint, code


def answer(error: Exception, program: str) -> Response:
    """What went wrong; a bug's traceback is for the log."""
    if isinstance(error, SignOn):
        made = _made(401, error.message, error.hint, error.exit_code)
        made.headers["WWW-Authenticate"] = "Bearer"
        return made
    if isinstance(error, InvirtError):
        return _made(status(error), error.message, error.hint, error.exit_code)
    if isinstance(error, HTTPException):
        # A path that is nearly one is none.
        number = error.code if error.code and error.code >= 400 else 404
        made = _made(number, str(error.description or error.name), "See /api/1/openapi.json.", 2)
        if number == 405:
            made.headers["Allow"] = dict(error.get_headers()).get("Allow", "")
        return made
    log.bug(error, program=program)
    return _made(500, "something is wrong here", "It has been written down.", InvirtError.exit_code)


def _made(number: int, detail: str, hint: str, code: int) -> Response:
    return Response(_told(number, detail, hint, code) + "\n", number, mimetype=TYPE)


def _told(number: int, detail: str, hint: str, code: int) -> str:
    title = (
        "Content Too Large" if number == 413 else HTTPStatus(number).phrase
    )  # Python 3.11 has an older name
    told = {
        "type": "about:blank", "title": title, "status": number, "detail": detail, "hint": hint, "code": code,
    }  # fmt: skip
    return json.dumps(told)


def of_apache() -> dict[int, str]:
    """What Apache answers where it hands nothing on."""
    return {number: _told(number, *words) for number, words in APACHE.items()}
