"""Where a guest moves away from: it is sent, and given up once the other host has all of it.

The guest is one of three: here, and running; handed over, which is written down before the
other host is told; or gone.  Until it is handed over it goes on here, whatever happens.
"""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Generator
from contextlib import closing, suppress
from functools import partial

from invirt.base import log
from invirt.base.errors import Busy, InvirtError, NotFound, Unreachable
from invirt.base.names import MachineName, domain_of
from invirt.host import loading
from invirt.host.console import logs
from invirt.host.moving import papers, wire
from invirt.host.moving.disks import Progress
from invirt.host.moving.papers import Paper
from invirt.host.protocols import Leaving


def silence(percent: int, rate: int) -> None:
    """Nobody wants to know how far it is."""


def send(name: MachineName, target: str, within: int, progress: Progress = silence) -> None:
    """Move the machine's guest to the host target, in at most so many seconds, or have it go on here.

    progress: is told how much was sent, in percent of its memory, and MiB a second.
    One that was handed over already is only cleared away.  Raises why it didn't move.
    """
    deadline = time.monotonic() + within
    mover, domain = loading.mover(), domain_of(name)
    paper = papers.read(name)
    if paper and paper.state == "handed":
        if paper.peer != target:
            raise Busy(f"{name} was handed over to {paper.peer}")
        mover.forget(domain)
        return
    if not loading.hypervisor().running(domain):
        raise NotFound(f"{name} is off", hint="There is nothing to move.")
    leaving = mover.leaving(domain)
    number = leaving.config.machine or 0
    try:
        with wire.call(target) as other:
            _carry(leaving, name, other, deadline, progress)
            _hand_over(leaving, name, Paper("handed", target, number), other, deadline)
    except (InvirtError, OSError):
        if not _handed(name):
            leaving.keep()
        raise
    mover.forget(domain)


def keep(name: MachineName) -> None:
    """Have the guest go on here; Busy if it was handed over.  One that has ended meanwhile is off."""
    if paper := _handed(name):
        raise Busy(
            f"{name} was handed over to {paper.peer}, and can't be kept",
            hint="It runs there, or is off: look, and resolve the operation.",
        )
    domain = domain_of(name)
    if loading.hypervisor().running(domain):
        with suppress(NotFound):  # it has just ended
            loading.mover().leaving(domain).keep()


def _handed(name: MachineName) -> Paper | None:
    paper = papers.read(name)
    return paper if paper and paper.state == "handed" else None


def _carry(
    leaving: Leaving, name: MachineName, other: wire.Wire, deadline: float, progress: Progress
) -> None:
    """Everything of the guest; it stands still here, and waits there, when this returns."""
    console = leaving.console()
    history = b64encode(logs.end(leaving.config.machine or 0)).decode()
    settings = dict(leaving.config.settings)
    leaving.share()
    other.tell(wire.ABOUT, {"name": name, "config": settings, "history": history, **leaving.version})
    other.send(wire.LOG, console)
    other.read(wire.YES)
    began, sent = time.monotonic(), 0
    put = other.pack if leaving.sparse else partial(other.send, wire.MEMORY)
    with closing(_pieces(leaving)) as pieces:
        for piece in pieces:
            if time.monotonic() > deadline:
                raise Busy(
                    f"{name} changes its memory faster than it can be sent",
                    hint="Give it more time (--within), or move it when it is less busy.",
                )
            put(piece)
            sent += len(piece)  # QEMU itself can't be asked: at the end it waits until all of this is taken
            progress(min(99, sent * 100 // (leaving.config.memory << 20)), _rate(sent, began))
    other.send(wire.END)  # the other host looks at what came while this one looks at what went
    leaving.finish()
    other.read(wire.YES)


def _rate(sent: int, began: float) -> int:
    """MiB a second."""
    return int((sent >> 20) / max(0.1, time.monotonic() - began))


def _pieces(leaving: Leaving) -> Generator[bytes, None, None]:
    try:
        yield from leaving.pieces(wire.PATIENCE)
    except TimeoutError as error:
        raise Unreachable("the guest's own process has stopped sending") from error


def _hand_over(leaving: Leaving, name: MachineName, paper: Paper, other: wire.Wire, deadline: float) -> None:
    if time.monotonic() > deadline:
        raise Busy(f"{name} took too long", hint="Give it more time: --within.")
    rest = leaving.console()
    papers.write(name, paper)  # from here on it may run there, and never again here
    try:
        other.send(wire.GO, rest)
        other.read(wire.YES)
    except InvirtError as error:  # remote tells it, too
        log.write(f"{paper.peer} may not know that it has {name}: {error.message}", log.WARNING)
