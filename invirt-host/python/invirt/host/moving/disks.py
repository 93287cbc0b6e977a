"""A disk of a machine that is off goes to another host, which doesn't see its pool.

It goes by the same door as guests, and nothing listens for it beyond that.  A host that sends one may
have been taken over: it can write to the one volume that remote has told us to expect from it, within its
size, until that is whole, and to nothing else.  What is zero isn't sent: the copy is as sparse.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from invirt import config
from invirt.base import validate
from invirt.base.errors import BadInput, Busy, CommandFailed, Denied, NoRoom
from invirt.base.names import MachineName, domain_of
from invirt.host import loading, paths, tokens
from invirt.host.moving import wire
from invirt.host.storage import pools

CHUNK = 1 << 18  # bytes that go at once
ZEROS = bytes(CHUNK)
FLUSH = 64 << 20  # bytes between two flushes: the last one must not take long
OFFSET = struct.Struct("!Q")
MIB = 1 << 20
Progress = Callable[[int, int], None]  # percent, MiB a second


@dataclass(frozen=True)
class Paper:
    """What is written down of a copy: the host that it comes from, and the pool that it lies in."""

    state: Literal["expected", "whole"]
    peer: str
    pool: str | None


def expect(name: MachineName, disk: str, gib: int, source: str, pool: str | None) -> None:
    """Make the volume, which from now on that host may write to."""
    pools.storage(pool).create(name, disk, gib)
    _write(name, disk, Paper("expected", source, pool))


def forget(name: MachineName, disk: str) -> None:
    """Nobody may write to it from elsewhere any more."""
    _file(name, disk).unlink(missing_ok=True)


def send(name: MachineName, disk: str, pool: str | None, target: str, progress: Progress) -> None:
    """Send a disk of a machine that is off; one that is there already, whole, is left alone."""
    if loading.hypervisor().running(domain_of(name)):
        raise Busy(f"{name} is running: its disk changes")
    with (
        pools.storage(pool).held(name, disk) as path,
        open(path, "rb", buffering=0) as file,
        wire.call(target) as other,
    ):
        size, used = file.seek(0, os.SEEK_END), _used(file.fileno())
        other.tell(wire.DISK, {"name": name, "disk": disk, "size": size, "used": used})
        if other.read(wire.YES)[1] == b"whole":
            return
        sent, began = 0, time.monotonic()
        for offset, data in pieces(file.fileno(), size):
            sent += len(data)
            other.heed()
            if data != ZEROS[: len(data)]:
                other.send(wire.PIECE, OFFSET.pack(offset) + data)
                pace(sent, time.monotonic() - began)
            progress(min(100, sent * 100 // max(used, 1)), int(sent / MIB / (time.monotonic() - began)))
        other.send(wire.END)
        other.read(wire.YES)


def pace(sent: int, seconds: float) -> None:
    """Wait where more was sent in so many seconds than may be."""
    if rate := config.hypervisor.move_rate * MIB:
        time.sleep(max(0.0, sent / rate - seconds))


def pieces(descriptor: int, size: int) -> Iterator[tuple[int, bytes]]:
    """Where there may be data, and what; a device can't tell its holes, and is read whole."""
    at = 0
    while at < size:
        at, end = _extent(descriptor, at, size)
        while at < end:
            data = os.pread(descriptor, min(CHUNK, end - at), at)
            if not data:
                raise Busy("the disk became smaller while it was copied")
            yield at, data
            at += len(data)


def _extent(descriptor: int, at: int, size: int) -> tuple[int, int]:
    """The next bytes that are no hole, from the first to before the last."""
    try:
        begin = os.lseek(descriptor, at, os.SEEK_DATA)
        return begin, os.lseek(descriptor, begin, os.SEEK_HOLE)
    except OSError as error:
        return (size, size) if error.errno == errno.ENXIO else (at, size)


def _used(descriptor: int) -> int:
    """Bytes that there are to be sent, at most."""
    found = os.fstat(descriptor)
    return os.lseek(descriptor, 0, os.SEEK_END) if stat.S_ISBLK(found.st_mode) else found.st_blocks * 512


def receive(content: bytes, other: wire.Wire, names: frozenset[str]) -> None:
    """Write what the host of those names sends to the volume that is expected from it."""
    about = _about(content)
    name, disk = validate.machine_name(about["name"]), validate.disk_name(about["disk"])
    with tokens.locked(name):
        paper = _read(name, disk)
        if paper is None or paper.peer not in names:
            raise Denied(f"disk {disk} of {name} is not expected from {' '.join(sorted(names)) or 'nobody'}")
        if paper.state == "whole":
            return other.send(wire.YES, b"whole")
        if loading.hypervisor().running(domain_of(name)):
            raise Busy(f"{name} is running here")
        with (
            pools.storage(paper.pool).held(name, disk) as path,
            open(path, "r+b", buffering=0) as file,
        ):
            size = file.seek(0, os.SEEK_END)
            if about["size"] != size:
                raise BadInput(f"disk {disk} of {name} has {about['size']} bytes there, and {size} here")
            _require_room(file.fileno(), about["used"])
            other.send(wire.YES)
            _take_in(other, file.fileno(), size)
        _write(name, disk, replace(paper, state="whole"))
        other.send(wire.YES)


def _take_in(other: wire.Wire, descriptor: int, size: int) -> None:
    """All of it is on disk when this returns."""
    written = 0
    while (frame := other.read(wire.PIECE, wire.END))[0] == wire.PIECE:
        data = memoryview(frame[1])[OFFSET.size :]
        (offset,) = OFFSET.unpack_from(frame[1].ljust(OFFSET.size, b"\xff"))
        if not data or offset + len(data) > size:
            raise BadInput("that is no part of the disk")
        with _writing():
            written += _put(descriptor, data, offset)
            if written > FLUSH:
                os.fdatasync(descriptor)
                written = 0
    with _writing():
        os.fsync(descriptor)


def _put(descriptor: int, data: memoryview, offset: int) -> int:
    """Write all of it there; returns how much that was."""
    done = 0
    while done < len(data):
        done += os.pwrite(descriptor, data[done:], offset + done)
    return done


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CommandFailed(f"the copy can't be written: {error.strerror}") from error


def _require_room(descriptor: int, used: int) -> None:
    """Raises NoRoom if a sparse file can't be filled; what a device takes up is its own."""
    here, system = os.fstat(descriptor), os.fstatvfs(descriptor)
    free = system.f_bavail * system.f_frsize
    if not stat.S_ISBLK(here.st_mode) and used > free + here.st_blocks * 512:
        raise NoRoom(f"{used // MIB} MiB are to be copied, and {free // MIB} are free where they shall go")


def _about(content: bytes) -> dict[str, Any]:
    """What a disk is; raises BadInput."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadInput("that is no disk") from error
    words, numbers = ("name", "disk"), ("size", "used")
    if not isinstance(found, dict) or not all(isinstance(found.get(word), str) for word in words):
        raise BadInput("that is no disk")
    if not all(type(found.get(word)) is int and 0 <= found[word] < 1 << 63 for word in numbers):
        raise BadInput("that is no disk's size")
    return found


def _write(name: MachineName, disk: str, paper: Paper) -> None:
    paths.write(_file(name, disk), json.dumps(asdict(paper)))


def _read(name: MachineName, disk: str) -> Paper | None:
    try:
        return Paper(**json.loads(_file(name, disk).read_text()))
    except FileNotFoundError:
        return None


def _file(name: MachineName, disk: str) -> Path:
    return paths.state() / "copies" / f"{name}_{disk}"
