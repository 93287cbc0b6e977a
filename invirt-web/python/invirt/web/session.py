"""Who somebody is: what Apache says at a door, and the session that the door gives.

A door is a place where Apache signs people on.  There, and nowhere else, it says
who somebody is, in one header, whose name holds no - and no _: WSGI takes them for
the same.  Every other page takes the session, a signed cookie, and nothing else.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from itsdangerous import BadSignature, URLSafeTimedSerializer

from invirt.base import validate
from invirt.base.errors import BadInput, Denied

HEADER = "Remoteuser"
COOKIE = "__Host-invirt"  # a browser takes one of that name from this server alone, over TLS
STATE = "/var/lib/invirt-web"  # of the pages' service, unless systemd says another
LASTS = 10 * 3600  # seconds, as long as a ticket
SECRET = "secret"  # the field of each form

Session = MutableMapping[str, Any]


class SignOn(Denied):
    """Nobody is signed on."""


def at_door(headers: Mapping[str, str], made: Callable[[str], str] = str, hint: str = "") -> str:
    """The principal whom Apache has signed on; raises Denied where it says none, or no person's.

    made: makes a principal of what Apache says.  hint: what to do where it says nothing.
    """
    said = headers.get(HEADER, "")
    if not said:
        raise Denied("nobody was signed on", hint)
    try:
        return validate.person(made(said))
    except BadInput as error:
        raise Denied(f"whom you signed on as can't use pages: {error.message}", error.hint) from error


def key(folder: Path) -> bytes:
    """What sessions are signed with, made at the first start; whoever has it can be anyone."""
    file = folder / "key"
    if not file.exists():
        new = folder / f"key.{os.getpid()}"
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as made:
            made.write(secrets.token_bytes(32))
        with suppress(FileExistsError):
            file.hardlink_to(new)
        new.unlink()
    return file.read_bytes()


def signed(key: bytes, salt: str = COOKIE) -> URLSafeTimedSerializer:
    """What makes a cookie of a session, and a session of a cookie; of another salt, other things."""
    manner = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
    return URLSafeTimedSerializer(key, salt=salt, signer_kwargs=manner)


def read(signing: URLSafeTimedSerializer, cookie: str) -> Session:
    """The session of a cookie, an empty one where it is not ours."""
    try:
        found = signing.loads(cookie, max_age=LASTS)
    except BadSignature:
        return {}
    return found if isinstance(found, dict) else {}


def begin(session: Session, principal: str, door: str) -> None:
    """Give a new session, in place of any that was there.  door: the name of the one that signed them on."""
    session.clear()
    session.update(who=principal, door=door, since=int(time.time()), secret=secrets.token_urlsafe(24))


def principal(session: Session) -> str:
    """Who is signed on; raises SignOn, also when the session has lasted long enough."""
    since = session.get("since")
    if not isinstance(since, int) or not 0 <= time.time() - since < LASTS:
        raise SignOn("you are not signed on")
    return str(session["who"])


def check(session: Session, form: Mapping[str, str]) -> None:
    """Raises Denied for a form that is not of this session: another site's, say."""
    if not hmac.compare_digest(form.get(SECRET, "").encode(), str(session.get("secret")).encode()):
        raise Denied(
            "this form is of another session", hint="Go back, load its page anew, and send it again."
        )


def within(path: str) -> str:
    """path if it is one of our pages', else the first page: nobody is sent elsewhere."""
    plain = path.replace("-", "").replace("_", "")
    inside = path.startswith("/") and not path.startswith("//") and plain.replace("/", "").isalnum()
    return path if inside and path.isascii() and not path.startswith("/sign-") else "/"
