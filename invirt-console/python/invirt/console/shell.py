"""The shell of a machine's login: its serial console, and nothing else.

It asks the login's home (invirt-consolefs) where the machine runs and has the
relay join the terminal to that host's console.  When the machine is off, moves or
comes back, it says so and goes on.  Whoever was let in is looked up again
before each connection and every few seconds: no session outlives its right.

Only what is needed at a login is imported here: it is waited for.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from invirt.base import validate
from invirt.base.names import MachineName

PROGRAM = "/usr/bin/invirt-console-shell"
POLL = 0.5  # seconds between looks at where a machine is
RECHECK = 10.0  # seconds between looks whether the one at the keyboard still may
SOON = 3.0  # seconds: a connection that fails faster than that had not begun


class Ended(Exception):
    """The session ends; the text is for the user."""


@dataclass(frozen=True)
class Home:
    """A machine's home, as invirt-consolefs serves it.  OSError: the database doesn't answer."""

    folder: Path

    def host(self) -> str | None:
        """Where the machine runs; None when it is off.  Ended when there is no such machine any more."""
        text = self._read("host").strip()
        if text and not validate.passes(text, validate.host_name):
            raise Ended("the database has no name of a host for it")
        return text or None

    def admits(self, proofs: tuple[str, ...]) -> bool:
        """Whether one of the proofs is on the lists."""
        principals = self._read(".k5login").splitlines()
        keys = [line.removeprefix("restrict,pty ") for line in self._read("keys").splitlines()]
        known = {f"gssapi-with-mic {who}" for who in principals} | {f"publickey {key}" for key in keys}
        return any(proof in known for proof in proofs)

    def _read(self, name: str) -> str:
        try:
            return (self.folder / name).read_text()
        except FileNotFoundError:
            if self.folder.parent.is_mount() or self.folder.exists():
                raise Ended("there is no such machine any more") from None
            raise OSError("not mounted") from None


def proofs(environ: Mapping[str, str]) -> tuple[str, ...]:
    """How the user was let in: the lines that sshd wrote (ExposeAuthInfo in sshd_config(5))."""
    try:
        return tuple(Path(environ["SSH_USER_AUTH"]).read_text().splitlines())
    except (KeyError, OSError):
        raise Ended("sshd doesn't say who you are") from None


def principal(proofs: tuple[str, ...]) -> str | None:
    """Who was let in by a ticket; None: whoever has the key."""
    kinds = (proof.partition(" ") for proof in proofs)
    return next((who for kind, _, who in kinds if kind == "gssapi-with-mic"), None)


def refuse_commands(environ: Mapping[str, str], word: str | None, is_terminal: bool) -> None:
    """Ended for anything but a login: commands, sftp, scp, or no terminal.

    word: what follows -c.  sshd runs ForceCommand, which is this program, so.
    """
    if "SSH_ORIGINAL_COMMAND" in environ or word not in (None, PROGRAM):
        raise Ended("this is a serial console: it runs no commands and has no files")
    if not is_terminal:
        raise Ended("a serial console needs a terminal: ssh -t")


@dataclass
class Session:
    """One user on one machine's console.

    start: joins the terminal to the console, until the function it is given,
    which it asks now and then, says that the user may not stay; True if the user
    has left.  say: tells the user a line.
    """

    name: MachineName
    home: Home
    proofs: tuple[str, ...]
    start: Callable[[Callable[[], bool]], bool]
    say: Callable[[str], None]
    poll: float = POLL

    def go(self) -> None:
        """Until the user leaves, or Ended."""
        told = ""
        self._find()
        while True:
            begun = time.monotonic()
            if self.start(self._may_stay):
                return
            host = self._find()
            if time.monotonic() > begun + SOON:
                told = ""
            told = self._tell(f"{self.name} is on {host}; connecting", told)
            time.sleep(self.poll)

    def _tell(self, text: str, told: str) -> str:
        """Say text unless it was the last thing told; returns what is told now."""
        if text != told:
            self.say(text)
        return text

    def _find(self) -> str:
        """Where the machine runs, when it does."""
        told = ""
        while (host := self._host()) is None:
            told = self._tell(f"{self.name} is off; waiting until it is booted (Ctrl-C leaves)", told)
            time.sleep(self.poll)
        return host

    def _host(self) -> str | None:
        """Where the machine is now, for one who may know; Ended for others."""
        told = ""
        while True:
            try:
                if not self.home.admits(self.proofs):
                    raise Ended(f"you may not use the console of {self.name} any more")
                return self.home.host()
            except OSError:
                told = self._tell("the database doesn't answer; trying again (Ctrl-C leaves)", told)
                time.sleep(self.poll)

    def _may_stay(self) -> bool:
        """A database that is down ends no session: it lets nobody new in."""
        try:
            return self.home.admits(self.proofs)
        except OSError:
            return True
        except Ended:
            return False


def login_name() -> MachineName:
    """The machine whose login this process runs as."""
    import pwd

    return MachineName(pwd.getpwuid(os.getuid()).pw_name)
