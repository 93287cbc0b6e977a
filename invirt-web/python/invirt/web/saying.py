"""What pages say to the remote server: `web …` by remctl, in a child process, since
the remctl module holds up all threads while it waits."""

from __future__ import annotations

import json
import threading
from subprocess import CompletedProcess
from typing import Any

from invirt import config
from invirt.base import errors, kerberos
from invirt.base.errors import BadInput, Busy, CommandFailed, InvirtError, Unreachable
from invirt.base.process import run
from invirt.web.answers import Go

PATIENCE = 30.0  # seconds: what takes longer on a host is not waited for
LONGEST = 4000  # letters of a word
# Of the eight threads of each of gunicorn's processes: a remote server that is stuck holds up no page.
MOST = 5
TURN = 5.0  # seconds that one more form waits
REMCTL = "remctl: "  # how its own errors begin
UNSENT = ("cannot connect", "cannot resolve", "unknown host", "GSS-API error initializing")

_places = threading.BoundedSemaphore(MOST)


def say(*words: str) -> Any:
    """What remote answers to `web WORDS`; raises what its exit code stands for, Busy or Unreachable."""
    done = _asked(*words, "--json")
    try:
        found = json.loads(done.stdout)
    except ValueError as error:
        raise _silent(_last(done.stderr)) from error
    if done.returncode:
        raise failure(found, done.returncode)
    return found


def plainly(*words: str) -> tuple[int, str, str]:
    """The exit code of `web WORDS`, and what it prints; raises Busy or Unreachable."""
    done = _asked(*words)
    if done.returncode and not done.stdout and done.stderr.startswith(REMCTL):
        raise _silent(_last(done.stderr))
    return done.returncode, done.stdout, done.stderr


def _asked(*words: str) -> CompletedProcess[str]:
    if any(len(word) > LONGEST or "\0" in word for word in words):
        raise BadInput("that is too long")
    if not _places.acquire(timeout=TURN):
        raise Busy("nothing was done: others' forms wait for the remote server", "Try again in a minute.")
    try:
        kerberos.use_host_keytab()
        return run(["remctl", config.remote.hostname, "web", *words], timeout=PATIENCE, check=False)
    except CommandFailed as error:
        raise _silent("it took too long") from error
    finally:
        _places.release()


def _last(said: str) -> str:
    """What remctl itself complains of."""
    return (said.strip().splitlines() or ["nothing was said"])[-1].removeprefix(REMCTL)


def _silent(said: str) -> Unreachable:
    """Whether anything was done is known only where nothing was sent."""
    remote = config.remote.hostname
    if said.startswith(UNSENT):
        return Unreachable(
            f"nothing was done: {remote} can't be reached ({said})", hint="Try again in a minute."
        )
    return Unreachable(
        f"{remote} gave no answer ({said}): it may be done or not",
        hint="Look at your machine's history before you try again.",
    )


def failure(found: Any, code: int) -> InvirtError:
    """The error that remote tells of."""
    told = found if isinstance(found, dict) else {}
    return errors.of(code)(str(told.get("error", "it failed")), str(told.get("hint") or ""))


def begun(found: Any) -> int | None:
    """The number of the operation that an answer tells of."""
    number = found.get("operation") if isinstance(found, dict) else None
    return number if isinstance(number, int) else None


def told(found: Any) -> str:
    """What an answer says was done."""
    return str(found.get("done", "")) if isinstance(found, dict) else ""


def after(found: Any, otherwise: str, said: str = "") -> Go:
    """To the operation that remote has begun; where it was done at once, to another page."""
    number = begun(found)
    return Go(f"/operations/{number}") if number else Go(otherwise, said)
