"""Whether whoever signed on is still somebody: asked of the one that knows, for as long as a session lasts.

A door has proven it when it signs somebody on.  Five minutes later its KDC, or its file, is asked
at the next call, and then every five minutes.  Where nobody can tell, the last proof lets in for
an hour, and what is open stays open.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from invirt import config
from invirt.base import kerberos, process
from invirt.base.errors import CommandFailed
from invirt.web import session
from invirt.web.session import Session, SignOn

FRESH = 300.0  # seconds that a proof needs no other
GOOD = 3600.0  # seconds that it lets in where nobody can tell
AGAIN = 30.0  # seconds until somebody is asked again who didn't say yes
PATIENCE = 3.0  # seconds that the KDC has
NAMES = Path("/run/invirt-web-names/names")  # those of the file door, which the pages may not read
# kvno(1) of MIT Kerberos says so of an account that was deleted, locked, or has ended.
GONE = ("Client not found in", "Client's credentials have been revoked", "Client's entry in database has exp")

Still = Callable[[str, str], bool | None]


class Accounts:
    """What is known.  still: whether a door's principal has an account; None where nobody can tell."""

    def __init__(self, still: Still) -> None:
        self._still = still
        self._proven: dict[tuple[str, str], float] = {}
        self._asked: dict[tuple[str, str], tuple[float, bool | None]] = {}

    def principal(self, kept: Session) -> str:
        """Who is signed on; raises SignOn, also for an account that is gone or wasn't proven for long."""
        who = session.principal(kept)
        if self.gone(kept):
            raise SignOn(f"{who} may not sign on any more", "Whoever keeps the accounts here can tell why.")
        if self._age(kept) >= GOOD:
            raise SignOn("nobody has told for an hour whether your account is good", "Sign on again.")
        return who

    def gone(self, kept: Session) -> bool:
        """Whether the account of a session is known to be no more; may take PATIENCE."""
        if self._age(kept) < FRESH:
            return False
        key, now = _key(kept), time.monotonic()
        asked, answer = self._asked.get(key, (-AGAIN, None))
        if now - asked >= AGAIN:
            answer = self._still(*key)
            self._asked[key] = (now, answer)
            if answer:
                self._proven[key] = now
        return answer is False

    def _age(self, kept: Session) -> float:
        """Seconds since the last proof."""
        proven = self._proven.get(_key(kept))
        signed_on: float = time.time() - kept["since"]
        return signed_on if proven is None else min(signed_on, time.monotonic() - proven)


def _key(kept: Session) -> tuple[str, str]:
    return str(kept.get("door", "")), str(kept["who"])


def of_kdc(who: str) -> bool | None:
    """Whether the KDC knows who: it is asked for a ticket for ourselves in that name (S4U2Self)."""
    said = _ticket_for(who)
    if said is not None and not any(words in said for words in GONE) and kerberos.seconds_left():
        said = _ticket_for(who)  # our own ticket had ended
    if said is None:
        return True
    return False if any(words in said for words in GONE) else None


def _ticket_for(who: str) -> str | None:
    """None where there is one, else what was wrong."""
    ours = f"host/{config.web.hostname}@{config.site.realm}"
    argv = ("kvno", "-q", "--no-store", "-I", who, ours)
    try:
        done = process.run(argv, timeout=PATIENCE, check=False)
    except CommandFailed as error:
        return error.message
    return None if done.returncode == 0 else done.stderr


def of_file(who: str) -> bool | None:
    """Whether the file of this server's passwords has a line for who (a copy of its names is looked at)."""
    try:
        names = NAMES.read_text().splitlines()
    except OSError:
        return None
    return who.removesuffix(f"@{config.site.realm}") in names
