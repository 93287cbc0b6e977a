"""Calls of the site's web server, for who can't reach the remote server: the same words, over HTTPS.

What takes long is an operation, which is begun by a key and followed; the same words by the
same key then tell its end.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import secrets
import ssl
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from invirt.base import errors
from invirt.base.errors import BadConfig, BadInput, InvirtError, Unreachable
from invirt.client import bearer, site
from invirt.client.call import AGAIN, UNPRINTABLE, Lines

SERVER = "INVIRT_WEB"  # of the environment: HOST, or https://HOST[:PORT]
PLACE = re.compile(r"(?:https://)?([A-Za-z0-9.-]{1,253})(?::([0-9]{1,5}))?/?")
PATIENCE = 60.0  # seconds for an answer, and without any sign of an operation's stream
LONGEST = 16 << 20  # bytes of an answer
WAITS = {
    "machine": frozenset(("create", "resize", "rename", "delete", "undelete", "purge", "eject")),
    "control": frozenset(("create", "shutdown", "reboot", "destroy", "install", "rescue")),
}

Words = tuple[str, ...]


def find(wanted: bool) -> Web | None:
    """The web server to ask: that of the environment, or, where it is wanted, of the site.

    Raises BadConfig where it is wanted, and nothing says which.
    """
    named = os.environ.get(SERVER, "") or (site.find().web if wanted else "")
    if not named and wanted:
        hint = f"Write web: web.example.org into {site.files()[0]}, or set {SERVER}."
        raise BadConfig("this site names no web server", hint)
    match = PLACE.fullmatch(named)
    if named and not match:
        raise BadConfig(f"{SERVER}={named[:100]!a} is no web server", hint="As in: https://web.example.org")
    return Web(match[1], int(match[2] or 443)) if match else None


@dataclass(frozen=True)
class Web:
    """A site's web server."""

    host: str
    port: int

    def say(self, words: Words, out: Lines, err: Lines) -> int:
        """Say words; returns the exit code.  Raises InvirtError where the server gives none."""
        if _waits(words):
            words = words if any(map(_is_key, words)) else (*words, f"--key={secrets.token_hex(16)}")
            found = self._ask((*words, "--no-wait"))
            if found["code"]:
                return _printed(found, out, err)
            self._wait(_number(found))
        return _printed(self._ask(words), out, err)

    def follow(self, words: Words, out: Lines, err: Lines) -> int:
        """As say(), for the words that follow an operation: what they print comes at its end."""
        number = next(word.partition("=")[2] for word in words if word.startswith("--follow="))
        if not (number.isascii() and number.isdigit()):
            raise BadInput(f"{number[:20]!a} is no operation's number", hint="invirt log shows them.")
        self._wait(int(number))
        return _printed(self._ask(words), out, err)

    @cached_property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {bearer.token(self.host, self.port)}"}

    def _connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(
            self.host, self.port, timeout=PATIENCE, context=ssl.create_default_context()
        )

    def _ask(self, words: Words) -> dict[str, Any]:
        """What is printed for words, and the exit code; raises what else the server says."""
        body = json.dumps({"words": words})
        headers = {**self._headers, "Content-Type": "application/json"}
        with closing(self._connect()) as connection:
            try:
                connection.request("POST", "/api/1/words", body, headers)
                answer = connection.getresponse()
                text = answer.read(LONGEST)
            except ssl.SSLCertVerificationError as error:
                told = f"{self.host} can't be trusted: {error.verify_message}"
                raise Unreachable(told, "Nothing was said. Its authority may be missing here.") from error
            except (OSError, http.client.HTTPException) as error:
                raise Unreachable(f"{self.host} gives no answer: {error}") from error
        if answer.status != 200:
            raise _refusal(answer.status, text)
        found = json.loads(text)
        return {"code": int(found["code"]), "out": str(found["out"]), "err": str(found["err"])}

    def _wait(self, number: int) -> None:
        """Until an operation has ended; a terminal is shown how it goes meanwhile."""
        while not self._followed(number):
            time.sleep(AGAIN)  # a server that starts again lets nobody in meanwhile
        _show("")

    def _followed(self, number: int) -> bool:
        """Whether there is nothing to wait for; where it isn't told, the words themselves say why."""
        with closing(self._connect()) as connection:
            try:
                connection.request("GET", f"/streams/operations/{number}", headers=self._headers)
                answer = connection.getresponse()
                if answer.status in (400, 401, 403, 404):
                    return True
                for line in answer:
                    if line.startswith(b"event: end"):
                        return True
                    if line.startswith(b"data: "):
                        _show(_doing(json.loads(line.removeprefix(b"data: "))))
            except (OSError, http.client.HTTPException, ValueError):
                pass
        return False


def _is_key(word: str) -> bool:
    return word.startswith("--key=")


def _waits(words: Words) -> bool:
    verb = words[2:3] if words[0] == "control" else words[1:2]
    return bool(WAITS.get(words[0], frozenset()) & set(verb)) and "--no-wait" not in words


def _number(found: dict[str, Any]) -> int:
    """Of the operation that has begun, as words or as JSON tell it."""
    told = json.loads(found["out"])
    return int(told["operation"] if isinstance(told, dict) else told)


def _refusal(status: int, body: bytes) -> InvirtError:
    """What the server says is wrong, with the exit code that it has by remctl."""
    try:
        told = json.loads(body)
        return errors.of(told["code"])(str(told["detail"]), str(told["hint"]))
    except (ValueError, KeyError, TypeError):
        return Unreachable(f"the web server answers {status}, and no more", hint="Try again in a minute.")


def _printed(found: dict[str, Any], out: Lines, err: Lines) -> int:
    for lines, text in ((out, found["out"]), (err, found["err"])):
        lines.write(text.encode(), final=True)
    return int(found["code"])


def _doing(told: dict[str, Any]) -> str:
    """The step that an operation is at."""
    going = [str(step["name"]) for step in told["steps"] if step["state"] in ("doing", "undoing")]
    return UNPRINTABLE.sub("?", (going or [""])[-1]).replace("-", " ")


def _show(text: str) -> None:
    """One line, in place of the one before, where somebody looks."""
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        sys.stderr.write(f"\r\033[K{f'  {text}' if text else ''}")
        sys.stderr.flush()
