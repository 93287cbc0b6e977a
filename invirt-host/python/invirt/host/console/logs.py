"""What consoles of this host have written: by the machine's number, bounded, and gone with the machine.

A machine's number is never another's, whatever becomes of its name.  conserver
looks at sizes every five minutes only, in which a guest writes gigabytes, and
QEMU never; both append, so a log is cut under their hands.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from invirt.base import log
from invirt.database.connection import Connection
from invirt.host import paths

FOLDER = Path("/var/log/invirt/consoles")
BY_NAME = Path("/var/log/conserver")  # where logs lay by name: whose they are, nobody can say
LONGEST, KEPT = 1 << 20, 1 << 18  # bytes of a log, and of its end where it grew longer
ALL = 1 << 30  # bytes of all machines' logs, of those too that run elsewhere now
EVERY = 1.0  # seconds between looks at sizes

GONE = """
SELECT number FROM unnest(%s::bigint[]) number
WHERE NOT EXISTS (SELECT FROM machines WHERE machine_id = number)
"""


def path(number: int) -> Path:
    """The log of a machine's console."""
    return FOLDER / f"{number}.log"


def end(number: int) -> bytes:
    """The end of what a machine's console has written, as far as this host knows it."""
    return paths.tail(path(number), KEPT)


def begin_with(number: int, said: bytes) -> None:
    """What the machine's console has written elsewhere comes first, and is all that is known here."""
    FOLDER.mkdir(mode=0o700, parents=True, exist_ok=True)
    path(number).unlink(missing_ok=True)
    add(number, said)


def add(number: int, said: bytes) -> None:
    """It has written that, too."""
    with open(os.open(path(number), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as file:
        file.write(said[-KEPT:])


def cut(file: Path) -> None:
    """Keep the end of a log that grew long; who appends to it goes on."""
    opened = os.open(file, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW)
    try:
        size = os.fstat(opened).st_size
        if size > LONGEST:
            end = os.pread(opened, KEPT, size - KEPT)
            os.ftruncate(opened, 0)
            os.write(opened, end)
    finally:
        os.close(opened)


def bound(everything: int = ALL) -> None:
    """Cut what grew long; when all of it is more than everything, the longest unwritten go."""
    for file in [*FOLDER.glob("*.log"), *(paths.state() / "guests").glob("*/console.log")]:
        with suppress(OSError):  # it went meanwhile
            cut(file)
    for _, size, file in sorted(_sizes(), reverse=True):
        everything -= size
        if everything < 0:
            file.unlink(missing_ok=True)


def _sizes() -> Iterator[tuple[float, int, Path]]:
    """When each log was written to last, its size, and where it is."""
    for file in FOLDER.glob("*.log"):
        with suppress(OSError):
            state = file.stat()
            yield state.st_mtime, state.st_size, file


def begin() -> None:
    """Remove logs by name, and bound the others from now on, whether the database answers or not."""
    for file in BY_NAME.glob("*.log*"):
        file.unlink(missing_ok=True)
    threading.Thread(target=_go_on, daemon=True).start()


def _go_on() -> None:
    while True:
        try:
            bound()
        except OSError as error:
            log.write(f"consoles' logs can't be cut: {error}", log.ERROR)
        time.sleep(EVERY)


def forget(connected: Connection) -> None:
    """Remove the logs of machines that are no more."""
    numbers = [int(file.stem) for file in FOLDER.glob("*.log") if file.stem.isdecimal()]
    if numbers:
        with connected.cursor() as cursor:
            cursor.execute(GONE, (numbers,))
            for (number,) in cursor.fetchall():
                path(number).unlink(missing_ok=True)
