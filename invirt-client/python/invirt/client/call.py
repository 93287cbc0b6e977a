"""Calls of the remote server by remctl, whose words are shown as they come."""

from __future__ import annotations

import codecs
import getpass
import os
import re
import shutil
import sys
import time
from collections.abc import Callable
from typing import TextIO

from invirt.base.errors import Busy, Denied, InvirtError, Unreachable
from invirt.base.process import run
from invirt.client.site import Site

PATIENCE = 10  # seconds until the server must have let us in
LONGEST = 900  # seconds between two words of it
BRIEF = 30.0  # seconds: a call that lasted longer was cut off for its length
AGAIN = 5.0  # seconds until a call that was cut off is made again
UNPRINTABLE = re.compile(r"[^\n\t -~\xa0-\U0010ffff]")

Say = Callable[[str], str]  # makes of a line what is shown


class CutOff(Unreachable):
    """The server had our words, and then said nothing of how they ended."""


class Lines:
    """Writes what comes in pieces, a line at a time, harmless to a terminal."""

    def __init__(self, stream: TextIO, say: Say) -> None:
        self.stream, self.say, self.rest = stream, say, ""
        self.decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def write(self, piece: bytes, final: bool = False) -> None:
        """Take a piece; the last one ends its line."""
        *lines, self.rest = (self.rest + self.decode(piece, final)).split("\n")
        for line in lines + ([self.rest] if final and self.rest else []):
            self.stream.write(self.say(UNPRINTABLE.sub("?", line)) + "\n")
        self.stream.flush()


def say(site: Site, words: tuple[str, ...], out: Lines, err: Lines) -> int:
    """Say words to the remote server; returns its exit code.  Raises Denied, Unreachable or CutOff."""
    import remctl

    client = remctl.Remctl()
    client.set_timeout(PATIENCE)
    try:
        client.open(site.remote)
    except remctl.RemctlError as error:
        raise _not_let_in(site, str(error)) from error
    client.set_timeout(LONGEST)
    try:
        client.command(words)
        while True:
            kind, output, stream, status, _ = client.output()
            if kind == "output":
                (out if stream == 1 else err).write(output)
            elif kind == "status":
                return int(status)
            elif kind == "error":
                raise Denied(
                    "there is nothing of that name that you may use", hint="invirt list shows yours."
                )
            else:
                raise CutOff(f"{site.remote} ended the call without an answer")
    except remctl.RemctlError as error:
        raise CutOff(f"{site.remote} doesn't answer any more: {error}") from error
    finally:
        for lines in (out, err):
            lines.write(b"", final=True)


def follow(site: Site, words: tuple[str, ...], out: Lines, err: Lines) -> int:
    """As say(), for words that only ask: cut off, they are said again, until there is an end."""
    while True:
        began = time.monotonic()
        try:
            code = say(site, words, out, err)
        except CutOff:
            time.sleep(AGAIN)  # a server that starts again lets nobody in meanwhile
        else:
            if code != Busy.exit_code or time.monotonic() - began < BRIEF:
                return code


def _not_let_in(site: Site, said: str) -> InvirtError:
    """Why a call did not come about: mostly there is no ticket."""
    if not shutil.which("klist") or run(["klist", "-s"], check=False).returncode:
        return Denied("you have no valid ticket", hint=f"kinit {getpass.getuser()}@{site.realm}")
    return Unreachable(f"{site.remote} doesn't let you in: {said}")


def on_terminal(stream: TextIO, colour: Say) -> Say:
    """colour, where the stream is a terminal that has them."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty()
    return str if plain else colour


def standard(say: Say = str, colour: Say = str) -> tuple[Lines, Lines]:
    """This process' standard output and error, each line made by say, coloured on a terminal."""
    both = (sys.stdout, sys.stderr)
    shades = [on_terminal(stream, colour) for stream in both]
    return (
        Lines(both[0], lambda line: shades[0](say(line))),
        Lines(both[1], lambda line: shades[1](say(line))),
    )
