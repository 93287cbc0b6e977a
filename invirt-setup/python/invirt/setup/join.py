"""The new server's end: it proves who is at the other one before it says the secret."""

from __future__ import annotations

import hmac
import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from invirt.base.errors import BadInput, Denied, InvirtError, Unreachable
from invirt.base.files import replace
from invirt.setup import bundle, tokens
from invirt.setup.bundle import Bundle
from invirt.setup.certificates import STATE
from invirt.setup.tokens import PORT, Token

JOINED = STATE / "joined.json"  # what was given; root's alone
CLAIM = STATE / "claim"  # by which the first server knows this one again
PATIENCE = 20  # seconds for each line
LONGEST = 1 << 20  # bytes


def given(file: Path = JOINED) -> Bundle | None:
    """What this server was given when it joined, if it has."""
    return bundle.understood(json.loads(file.read_text())) if file.exists() else None


def fetched(token: Token, port: int = PORT, joined: Path = JOINED, claim: Path = CLAIM) -> Bundle:
    """What the token is for; it is on the disk when this returns, and the token is used up.

    Raises Unreachable, and Denied where the other end isn't proven, or refuses. One that
    was cut off, or killed, tries again with the same token.
    """
    had = given(joined)
    if had and had.name == token.name:
        return had
    if not claim.exists():
        replace(claim, tokens.secret().encode(), 0o600)
    with _channel(token, port) as lines:
        _say(lines, {"name": token.name, "secret": token.secret, "claim": claim.read_text()})
        found = bundle.understood(_heard(lines))
        if found.name != token.name:
            raise BadInput(f"that is for {found.name}, and this is {token.name}")
        replace(joined, json.dumps(found.plain()).encode(), 0o600)
        _say(lines, {"done": True})
        lines.readline(LONGEST)
    return found


@contextmanager
def _channel(token: Token, port: int) -> Iterator[Any]:
    """A connection at whose other end is the server that made the token."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.minimum_version = ssl.TLSVersion.TLSv1_3
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE  # not whoever an authority names, but this very certificate
    where = f"{token.address}, port {port}"
    try:
        with (
            socket.create_connection((token.address, port), PATIENCE) as raw,
            tls.wrap_socket(raw) as connection,
        ):
            shown = tokens.fingerprint(connection.getpeercert(binary_form=True) or b"")
            if not hmac.compare_digest(shown, token.fingerprint):
                raise Denied(
                    f"{where} is not the server that made the token", "Nothing was said to it. Who is there?"
                )
            with connection.makefile("rwb") as lines:
                yield lines
    except OSError as error:
        raise Unreachable(f"{where}: {error}", "Try again with the same token; it lasts an hour.") from error


def _say(lines: Any, said: dict[str, Any]) -> None:
    lines.write(json.dumps(said).encode() + b"\n")
    lines.flush()


def _heard(lines: Any) -> dict[str, Any]:
    line = lines.readline(LONGEST)
    if not line.endswith(b"\n"):
        raise ConnectionError("the connection was cut")
    try:
        heard: dict[str, Any] = json.loads(line)
    except ValueError as error:
        raise InvirtError(f"the first server said what is no JSON: {error}") from error
    if heard == {"refused": True}:
        raise Denied(
            "the token was refused",
            "It counts once, for an hour, and for the server that it names: invirt-setup token NAME, there.",
        )
    return heard
