"""Moving on Xen: what xl writes of a domain goes through our own connection, and xl takes it in there.

A PVH or HVM guest runs until the end: `xl migrate` is given a command that says from which pipe its bytes
can be read, and would wait for the other xl's answer, which never comes: we decide.  A PV guest stands still
as long as it takes (`xl save`), since Debian's Xen has no shadow page tables.  Of what comes in, the memory
alone is taken: its configuration is the one that we have checked (`xl restore CONFIG`).  It is called
NAME--incoming, which no one takes for a machine's domain, until it was handed over.
"""

from __future__ import annotations

import os
import select
import shutil
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from threading import Thread
from typing import Any

from invirt.base import log
from invirt.base.errors import BadInput, Busy, CommandFailed, InvirtError, NotFound
from invirt.base.names import DomainName
from invirt.base.process import background
from invirt.host import paths
from invirt.host.console import logs
from invirt.host.domain import DomainConfig
from invirt.host.moving.disks import pace
from invirt.host.network import vif
from invirt.host.records import Record
from invirt.host.waiting import wait
from invirt.host.xen import config as rendering
from invirt.host.xen import stream
from invirt.host.xen.driver import Xen, decided, unit, written
from invirt.host.xen.pipes import reading, widen
from invirt.host.xen.xl import INCOMING, LONG, coming, leaving, pipe

VERSION = Path("/sys/hypervisor/version")
READY = b"xl migration receiver ready, send binary domain data.\n"
SETTLE = 60.0  # seconds until xl has come to an end with what it was told
LONGEST = 3600.0  # seconds that a move may take
# It outlives our own process, and its pipe: then it lets the domain go on.
APART = ("systemd-run", "--scope", "--quiet", "--collect", "sh", "-c", "trap '' PIPE; exec 2>$0 \"$@\"")


def installed() -> str:
    """Xen's version: MAJOR.MINOR."""
    return ".".join((VERSION / part).read_text().strip() for part in ("major", "minor"))


def traits(name: DomainName) -> dict[str, object]:
    """What tells where a guest that runs here can go, and how: to no older Xen, and not with a CD."""
    with suppress(FileNotFoundError):
        config = Record(name).config()
        cd = any(disk.get("devtype") == "cdrom" for disk in config.devices("disk"))
        return {"made_by": installed(), "cd": cd, "still": config.virt == "pv"}
    return {}


def hold(driver: Xen, name: DomainName) -> None:
    """Nobody else may open its disks any more, once the other host has let them go; else it runs on."""
    try:
        driver.lock(name, "hold")
    except Busy as error:
        log.write(f"{error.message} yet: {error.hint}", log.WARNING)


def lead(name: DomainName) -> None:
    """Its addresses to this host.  A PC's emulated card goes at any moment, once its guest has Xen's."""
    for interface in sorted(interface for interface, link in vif.links().items() if link.name == name):
        try:
            vif.lead(interface)
        except InvirtError:
            if vif.exists(interface):
                raise


class XenMover:
    """What invirt.host.moving asks of Xen's driver."""

    def __init__(self, driver: Xen) -> None:
        self.driver = driver

    def leaving(self, name: DomainName) -> Leaving:
        """See Mover."""
        return Leaving(self.driver, name)

    def coming(self, config: DomainConfig, version: dict[str, Any]) -> Coming:
        """Make ready for a domain of no newer Xen."""
        said = str(version.get("xen", "")).split(".")
        if len(said) != 2 or not all(part.isdecimal() and len(part) < 4 for part in said):
            raise BadInput(f"{config.name} is of no Xen that this host knows")
        if [*map(int, said)] > [*map(int, installed().split("."))]:
            raise BadInput(f"{config.name} runs by a newer Xen than the one of this host")
        made = Coming(self.driver, config)
        try:
            made.prepare()
        except BaseException:
            decided(config.name)
            raise
        return made

    def arrive(self, name: DomainName) -> None:
        """Give it its name, let it run, and lead its addresses here."""
        xl = self.driver.xl
        rows = {row.name: row for row in xl.rows()}
        waiting = rows.get(DomainName(name + INCOMING))
        row = waiting or rows.get(name)
        if waiting:
            xl("rename", name + INCOMING, name)
        if row is None or row.over:
            return
        if row.paused:
            xl("unpause", name)
        lead(name)
        decided(name)

    def own(self, name: DomainName) -> None:
        """Of one that has ended meanwhile its unit has let them go."""
        if self.driver.running(name):
            hold(self.driver, name)

    def forget(self, name: DomainName) -> None:
        """It is elsewhere: nothing of it stays.  Busy if it runs here all the same."""
        row = self.driver.xl.row(name)
        if row and not row.paused and not row.over:
            raise Busy(f"{name} runs here, though it was handed over")
        self.driver.destroy(name)
        shutil.rmtree(Record(name).folder, ignore_errors=True)
        written(name).unlink(missing_ok=True)


class Leaving:
    """A domain that runs here, and is to go."""

    sparse = True

    def __init__(self, driver: Xen, name: DomainName) -> None:
        self.driver, self.name = driver, name
        self.config = Record(name).config()
        self.version = {"xen": installed()}
        self.log = logs.path(self.config.machine or 0)
        self.sent: int | None = None
        self.process = self.answers = -1
        self.whole = False
        if traits(name).get("cd"):
            raise BadInput(f"{name} has a CD in its drive", hint="Take it out first.")

    def share(self) -> None:
        """The other host's Xen opens its disks while this one's has them."""
        self.driver.lock(self.name, "share")

    def console(self) -> bytes:
        """What conserver has of it since this was asked last; what was before goes as its history."""
        size = self.log.stat().st_size if self.log.exists() else 0
        new = size if self.sent is None else self.sent
        said = paths.tail(self.log, max(0, size - new))
        self.sent = size
        return said

    def pieces(self, patience: float) -> Generator[bytes, None, None]:
        """What xl writes, until the domain's last byte is through; no more if it ends before."""
        with suppress(EOFError, FileNotFoundError), self._xls(patience) as opened:
            began, sent = time.monotonic(), 0
            for piece in stream.pieces(opened):
                yield piece
                sent += len(piece)
                pace(sent, time.monotonic() - began)
            self.whole = True

    @contextmanager
    def _xls(self, patience: float) -> Iterator[BufferedReader]:
        """The pipe that it writes the domain to.  EOFError or FileNotFoundError if it has ended before."""
        source = self._begin()
        if self.config.virt != "pv":  # nobody need copy from its pipe to ours
            with reading(source, patience) as said:
                its = said.readline().decode().strip()
            if not its:
                raise EOFError
            source = os.open(Path("/proc") / its, os.O_RDONLY)
        widen(source)
        with reading(source, patience) as opened:
            yield opened

    def _begin(self) -> int:
        """Start xl; returns where it, or who answers it, is heard."""
        if self._still():
            raise BadInput(f"{self.name} stands still", hint=f"xm unpause {self.name}")
        file = leaving(self.name)
        paths.write(file, "")
        source, its = os.pipe()
        answer, self.answers = os.pipe()
        try:
            pid = background([*APART, str(file), *self._xl(its, answer)], (its, answer))
        finally:
            os.close(its)
            os.close(answer)
        self.process = os.pidfd_open(pid)
        os.write(self.answers, READY)
        return source

    def _xl(self, its: int, answer: int) -> list[str]:
        """What writes the domain there, or says whose pipe it writes it to: that one's, who answers it.

        When nobody can answer any more, it lets it go on.
        """
        if self.config.virt == "pv":
            return ["xl", "save", "-p", self.name, f"/dev/fd/{its}"]
        command = f"exec bash -c 'exec {{xls}}<&0; echo $$/fd/$xls >&{its}; exec cat <&{answer} {its}>&-'"
        return ["xl", "migrate", "-s", "", self.name, command]

    def finish(self) -> None:
        """All is sent: the domain stands still, and stays so whatever becomes of us and of xl."""
        if not self.whole:
            raise CommandFailed(f"xl did not send {self.name}", hint=self._said())
        if not wait(self._still, SETTLE):
            raise CommandFailed(f"{self.name} doesn't stand still", hint=self._said())
        self.driver.xl("pause", self.name)

    def _still(self) -> bool:
        row = self.driver.xl.row(self.name)
        return row is not None and row.paused

    def _said(self) -> str:
        return paths.tail(leaving(self.name), 500).decode(errors="replace").strip()

    def release(self) -> None:
        """xl learns that nobody answers, and ends."""
        if self.answers >= 0:
            os.close(self.answers)
            self.answers = -1
            select.select([self.process], [], [], SETTLE)

    def keep(self) -> None:
        """xl lets go of it, and it goes on.  NotFound if it has ended."""
        self.release()

        def on() -> bool:
            row = self.driver.xl.row(self.name)
            if row is None:
                raise NotFound(f"{self.name} has ended")
            if "p" in row.states:
                self.driver.xl("unpause", self.name)
            return not set(row.states) & set("ps")

        going = wait(on, SETTLE)
        leaving(self.name).unlink(missing_ok=True)
        if not going:
            raise CommandFailed(f"{self.name} can't go on", hint="It is off now: boot it again.")
        hold(self.driver, self.name)


class Coming:
    """A domain that is on its way in: its links are guarded, no address leads to it."""

    def __init__(self, driver: Xen, config: DomainConfig) -> None:
        self.driver, self.config, self.name = driver, config, config.name
        self.starting = Thread()
        self.writing = -1
        self.failed = ""

    def prepare(self) -> None:
        """Say that it comes before anything is known of it that would look like a domain which is off."""
        called = DomainConfig({**self.config.settings, "name": self.name + INCOMING})
        paths.write(coming(self.name), rendering.rendered(called))
        self.driver.prepare(self.config)

    def console(self, said: bytes) -> None:
        """conserver's log has it already."""

    def begin(self) -> None:
        """xl reads a pipe with a name, in the unit that the domain will have."""
        pipe(self.name).unlink(missing_ok=True)
        os.mkfifo(pipe(self.name), 0o600)
        self.starting = Thread(target=self._start, daemon=True)
        self.starting.start()
        wait(lambda: self._opened() or not self.starting.is_alive(), LONG)
        if self.writing < 0:
            raise CommandFailed(f"xl takes no {self.name} in", hint=self.said())

    def _start(self) -> None:
        try:
            self.driver.xl.run(["systemctl", "restart", unit(self.name)], timeout=LONGEST)
        except InvirtError as error:
            self.failed = error.hint or error.message

    def take(self, piece: bytes, patience: float) -> None:
        """xl reads it there."""
        left = memoryview(piece)
        while left:
            if not select.select([], [self.writing], [], patience)[1]:
                raise TimeoutError("xl reads no more")
            left = left[os.write(self.writing, left) :]

    def _opened(self) -> bool:
        with suppress(OSError):  # nobody reads yet
            self.writing = os.open(pipe(self.name), os.O_WRONLY | os.O_NONBLOCK)
            widen(self.writing)
        return self.writing >= 0

    def finish(self) -> None:
        """All of it is here, and stands still."""
        self._end()
        self.starting.join(SETTLE)
        row = self.driver.xl.row(DomainName(self.name + INCOMING))
        if self.starting.is_alive() or self.failed or row is None or not row.paused:
            raise CommandFailed(f"xl did not take {self.name} in", hint=self.said())
        pipe(self.name).unlink()

    def _end(self) -> None:
        if self.writing >= 0:
            os.close(self.writing)
            self.writing = -1

    def said(self) -> str:
        """What xl has said."""
        return self.driver.unit_said(self.name) or self.failed

    def drop(self) -> None:
        """It doesn't come: xl sees the end of it, or is ended."""
        self._end()
        self.driver.xl.run(["systemctl", "stop", unit(self.name)], check=False, timeout=LONG)
        self.driver.destroy(self.name)
        shutil.rmtree(Record(self.name).folder, ignore_errors=True)
        written(self.name).unlink(missing_ok=True)
