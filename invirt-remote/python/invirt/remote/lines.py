"""Lines to hosts: a child process each, which asks its host, and has the connection a moment longer.

The remctl module holds Python's lock while it waits, so threads would ask one host after
the other.  Whoever asks a host is mostly about to command it: to connect once more would
take as long as the question did.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import selectors
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NoReturn, TypeVar

from invirt.base.errors import InvirtError

# Seconds that the others have to answer a question once one host has: a host
# that is gone must not hold up everyone for the whole deadline.
PATIENCE = 3.0
KEPT = 2.0  # seconds after its answer in which a line is used for a command
GOODBYE = 0.5  # seconds that a child with nothing to do has to take leave of its host
MORE = 1.0  # seconds beyond a command's own in which the child must have told how it ended

Answer = str | InvirtError
# Has words done on the connection, within so many seconds; raises InvirtError.
Speak = Callable[[Sequence[str], float], str]
Result = TypeVar("Result")


class Line:
    """A child that connects and asks at once; dial: connects."""

    def __init__(self, dial: Callable[[], Speak], words: Sequence[str], timeout: float) -> None:
        self.socket, its = socket.socketpair()
        self.until = 0.0  # of time.monotonic(): it takes a command until then
        self.parent = os.getpid()
        self.child = os.fork()
        if self.child == 0:
            self.socket.close()
            _serve(its, dial, words, timeout)
        its.close()

    def is_open(self) -> bool:
        """Whether a command may go on it: it is its parent's alone, not of processes that come of that."""
        return os.getpid() == self.parent and time.monotonic() < self.until

    def answer(self) -> Answer | None:
        """What the host said, when there is something to read; None if the child was cut off."""
        with (
            contextlib.suppress(EOFError, OSError, pickle.UnpicklingError),
            self.socket.makefile("rb") as file,
        ):
            said: Answer = pickle.load(file)
            self.until = time.monotonic() + KEPT
            return said
        return None

    def command(self, words: Sequence[str], timeout: float) -> Answer | None:
        """The answer to one command more; None if nobody knows what became of it."""
        try:
            self.until = 0.0
            self.socket.settimeout(timeout + MORE)
            self.socket.sendall(pickle.dumps((words, timeout)))
            return self.answer()
        except OSError:
            return None
        finally:
            self.hang_up()

    def take_leave(self) -> None:
        """Have a child with nothing to do end: its host would complain of a connection that is cut off."""
        if self.until and os.getpid() == self.parent:
            with contextlib.suppress(OSError):
                self.socket.sendall(pickle.dumps(((), 0.0)))

    def hang_up(self) -> None:
        """End it, whatever it does."""
        if os.getpid() == self.parent:
            self.take_leave()
            select.select([self.socket], [], [], GOODBYE if self.until else 0)  # it closes its side
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.child, signal.SIGKILL)
            os.waitpid(self.child, 0)
        self.socket.close()


def _serve(its: socket.socket, dial: Callable[[], Speak], words: Sequence[str], timeout: float) -> NoReturn:
    """Be the child, which ends by itself when nothing more is asked of it."""
    speak: Speak | InvirtError | None = None
    try:
        with its.makefile("rwb") as file:
            speak = _tried(dial)
            while words:
                said = speak if isinstance(speak, InvirtError) else _tried(partial(speak, words, timeout))
                pickle.dump(said, file)
                file.flush()
                waiting = select.select([its], [], [], KEPT + MORE)[0]
                words, timeout = pickle.load(file) if waiting else ((), 0.0)
    finally:
        speak = None  # what connects takes leave of the host when nobody has it any more
        os._exit(0)


def _tried(what: Callable[[], Result]) -> Result | InvirtError:
    """What it returns, or the error, as it can be pickled."""
    try:
        return what()
    except InvirtError as error:
        return type(error)(error.message, error.hint)


def first_answers(lines: Mapping[str, Line], timeout: float) -> dict[str, Answer]:
    """Those that come in time; the lines of others are hung up."""
    answers: dict[str, Answer] = {}
    deadline = time.monotonic() + timeout
    with selectors.DefaultSelector() as waiting:
        for name, line in lines.items():
            waiting.register(line.socket, selectors.EVENT_READ, name)
        while waiting.get_map() and (left := deadline - time.monotonic()) > 0:
            for key, _ in waiting.select(left):
                waiting.unregister(key.fileobj)
                if (said := lines[key.data].answer()) is not None:
                    answers[key.data] = said
                deadline = min(deadline, time.monotonic() + PATIENCE)
    for name in lines.keys() - answers.keys():
        lines[name].hang_up()
    return answers
