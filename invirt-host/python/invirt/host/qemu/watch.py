"""QEMU's guests, watched by events on a QMP socket of their own beside the one for commands.

That a guest runs says its lock, whatever its QEMU says: events tell when to look, and
what it does meanwhile.  A QEMU may have been taken over by its guest: what it says is
of that guest alone, and however much it is, it is read at most RATE times a second.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import time
from contextlib import suppress
from pathlib import Path

from invirt.base.names import DomainName
from invirt.host import paths, usage
from invirt.host.qemu.guest import Guest
from invirt.host.qemu.qmp import peer
from invirt.host.records import HOST, KILLED, POWEROFF
from invirt.host.usage import Counted
from invirt.host.watching import Seen

RATE = 20  # reads a second, in which what comes together is one
MOST = 1 << 16  # bytes of one read, and of one line
HELLO = b'{"execute": "qmp_capabilities"}\n{"execute": "query-status", "id": "status"}\n'
DISKS = b'{"execute": "query-blockstats", "id": "disks"}\n'
WHY = {POWEROFF: "poweroff", KILLED: "killed", HOST: "host"}
Stamp = tuple[float, float]  # when a guest's lock was taken, and when its end was written down
STATES = {"STOP": "paused", "RESUME": "running"}


class Events:
    """What the QEMU of one guest tells; closed: it tells nothing more."""

    def __init__(self, guest: Guest) -> None:
        """Raises OSError if nobody listens; nothing is waited for."""
        self.state, self.down, self.closed = "running", False, False
        self.guest, self.rest = guest, b""
        self.machine = guest.machine()
        self.disks: dict[str, int] = {}
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            self.socket.connect(str(guest.events))
            self.socket.send(HELLO + DISKS)
            self.pid = peer(self.socket)
        except OSError:
            self.socket.close()
            raise

    def read(self) -> bool:
        """Take what has come; whether it was anything that matters."""
        try:
            came = self.socket.recv(MOST)
        except BlockingIOError:
            return False
        except OSError:
            came = b""
        before = (self.state, self.down, self.closed)
        self.closed = not came
        *lines, rest = (self.rest + came).split(b"\n")
        self.rest = rest[-MOST:]
        for line in lines:
            self._take(line)
        return before != (self.state, self.down, self.closed)

    def counted(self) -> Counted:
        """What the guest has used; of its disks as it was when this was asked last."""
        with suppress(OSError):
            self.socket.send(DISKS)
        console = self.guest.log.stat().st_size if self.guest.log.exists() else 0
        return Counted({**usage.of_process(self.pid), **self.disks, "console": console})

    def _take(self, line: bytes) -> None:
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            return
        if not isinstance(said, dict):
            return
        event = said.get("event")
        if said.get("id") == "disks":
            self.disks = usage.of_disks(said.get("return"))
        if said.get("id") == "status" and isinstance(said.get("return"), dict):
            self.state = "running" if said["return"].get("status") == "running" else "paused"
        elif event == "SHUTDOWN":
            self.down = True
        elif event in ("RESET", *STATES):
            self.down = False
            self.state = STATES.get(event, self.state)


class QemuWatch:
    """All guests of this host; those that an older version has booted have no events, but their locks."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.events: dict[DomainName, Events] = {}
        self.down: set[DomainName] = set()  # those that went down by themselves, until their unit says so
        self.off: dict[DomainName, tuple[Stamp, Seen]] = {}

    def wait(self, seconds: float) -> None:
        """Until a guest has ended, stopped or gone on."""
        deadline, happened = time.monotonic() + seconds, False
        while not happened and (left := deadline - time.monotonic()) > 0:
            ready = self.selector.select(left)
            happened = sum(self._read(key.data) for key, _ in ready) > 0  # all are read
            if ready:
                time.sleep(1 / RATE)

    def _read(self, events: Events) -> bool:
        happened, name = events.read(), events.guest.name
        if events.closed:
            self.selector.unregister(events.socket)
            events.socket.close()
            del self.events[name]
            self.down |= {name} if events.down else set()
        return happened

    def look(self) -> list[Seen]:
        """As the locks say; one that has events has its lock."""
        names = {name for part in (paths.run(), paths.state()) for name in _names(part / "guests")}
        self.off = {name: off for name, off in self.off.items() if name in names}
        return [self._look(Guest(name)) for name in sorted(names)]

    def counted(self) -> dict[int, Counted]:
        """Of those that have events."""
        found, links = {}, usage.of_links()
        for name, events in self.events.items():
            if events.machine is not None:
                link = links.get(name, Counted())
                metrics = events.counted().metrics | link.metrics
                found[events.machine] = Counted(metrics, link.drops)
        return found

    def _look(self, guest: Guest) -> Seen:
        if guest.name not in self.events:
            if not guest.running():
                return self._ended(guest)
            self._join(guest)
        events = self.events.get(guest.name)
        state, machine = (events.state, events.machine) if events else ("running", guest.machine())
        return Seen(guest.name, state, _written(guest.lock), machine=machine)

    def _join(self, guest: Guest) -> None:
        with suppress(OSError):
            events = Events(guest)
            self.selector.register(events.socket, selectors.EVENT_READ, events)
            self.events[guest.name] = events
            self.down.discard(guest.name)

    def _ended(self, guest: Guest) -> Seen:
        """Its unit writes down how a moment after its end; until then events tell."""
        stamp = (_written(guest.lock), _written(guest.ended))
        before = self.off.get(guest.name)
        if before and before[0] == stamp:
            return before[1]
        since = before[1].since if before and before[0][0] == stamp[0] else time.time()
        why = "host"  # it wasn't launched since the host's boot
        if stamp[0]:
            why = "poweroff" if guest.name in self.down else "crash"
        seen = Seen(guest.name, "off", since, WHY.get(_read(guest.ended)) or why, guest.machine())
        self.off[guest.name] = (stamp, seen)
        return seen


def _names(folder: Path) -> list[DomainName]:
    try:
        return [DomainName(name) for name in os.listdir(folder) if not name.startswith(".")]
    except FileNotFoundError:
        return []


def _written(path: Path) -> float:
    """When a file was written; 0 if there is none."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""
