"""Those who follow operations, and the one connection to the database by which all of a server are told.

A follower says an operation's number, once a command has found out that its
user may see it, and gets a line of JSON (see Told) at once and at each change.
Whoever is cut off, or too slow, comes again: the first line says all.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

import psycopg2

from invirt.base import log
from invirt.base.errors import InvirtError, Unreachable
from invirt.base.notify import notify
from invirt.database import connection
from invirt.database.connection import Connection, transaction
from invirt.database.follow import words
from invirt.remote.operations import store
from invirt.remote.operations.model import OPEN, Operation, StepRow

CHANNEL = "operations"
MOST = 512  # followers of one server
ALIVE = 5.0  # seconds until followers get a word, though nothing has changed
DEAF = 3 * ALIVE  # seconds without any until a follower comes again
GIVEN_UP = 60.0  # seconds until one whom nobody answers gives up
RETRY = 0.5  # seconds between two tries


@dataclass(frozen=True)
class Step:
    """A step that is not merely planned: its number, its state and its words."""

    position: int
    state: str
    words: str


@dataclass(frozen=True)
class Told:
    """How an operation stands; exit_code: that it failed with, if it did."""

    title: str
    state: str
    error: str | None
    exit_code: int
    steps: tuple[Step, ...]

    @property
    def is_open(self) -> bool:
        """Whether there is more to come."""
        return self.state in OPEN


def path() -> Path:
    """Where the service listens, for root alone: $INVIRT_FOLLOWERS or /run/invirt/followers."""
    return Path(os.environ.get("INVIRT_FOLLOWERS", "/run/invirt/followers"))


def told(operation: Operation) -> Told:
    """What followers are told of it."""
    codes = [row.detail["exit_code"] for row in operation.steps if "exit_code" in row.detail]
    steps = tuple(
        Step(row.position, row.state, _words(row)) for row in operation.steps if row.state != "pending"
    )
    return Told(operation.title, operation.state, operation.error, codes[0] if codes else 1, steps)


def _words(row: StepRow) -> str:
    from invirt.remote.operations import STEPS

    if row.state in ("undoing", "undone"):
        return row.undo
    return STEPS[row.name].words.format(**row.detail) if row.name in STEPS else row.name


class Server:
    """Tells followers what they wait for, by a connection that the database wakes."""

    def __init__(self, listening: socket.socket) -> None:
        listening.setblocking(False)
        self.listening = listening
        self.new: list[socket.socket] = []  # who have not said yet what they want
        self.followers: dict[int, list[socket.socket]] = {}

    def serve(self, connected: Connection) -> NoReturn:
        """For ever, or until the database is lost."""
        connected.autocommit = True
        with connected.cursor() as cursor:
            cursor.execute(f'LISTEN "{CHANNEL}"')
        self.tell(connected, set(self.followers))  # word may have been missed
        alive = time.monotonic()
        while True:
            others = [*self.new, self.listening] if self.count() < MOST else self.new
            come, _ = words(connected, ALIVE, others)
            changed = {int(word.payload) for word in come if word.payload.isdigit()}
            self.tell(connected, (changed & self.followers.keys()) | self.accept())
            if time.monotonic() - alive >= ALIVE:
                alive = time.monotonic()
                connection.check(connected)  # which says nothing, too, while it is frozen
                self.send(dict.fromkeys(self.followers, ""))

    def count(self) -> int:
        """How many there are."""
        return len(self.new) + sum(map(len, self.followers.values()))

    def accept(self) -> set[int]:
        """Let new followers in; the operations that some of them have asked for."""
        with suppress(BlockingIOError):
            while self.count() < MOST:
                follower, _ = self.listening.accept()
                follower.setblocking(False)
                self.new.append(follower)
        asked = set()
        for follower in list(self.new):
            try:
                number = int(follower.recv(32))
            except BlockingIOError:
                continue
            except (OSError, ValueError):
                number = 0
            self.new.remove(follower)
            if number > 0:
                self.followers.setdefault(number, []).append(follower)
                asked.add(number)
            else:
                follower.close()
        return asked

    def tell(self, connected: Connection, numbers: set[int]) -> None:
        """How these operations stand, to all who follow them."""
        if not numbers:
            return
        with transaction(connected) as cursor:
            found = store.select(cursor, "operation_id = ANY(%s)", (list(numbers),))
        self.send({one.operation_id: json.dumps(asdict(told(one))) for one in found})
        for number in numbers - {one.operation_id for one in found if one.is_open}:
            for follower in self.followers.pop(number, []):
                follower.close()

    def send(self, lines: dict[int, str]) -> None:
        """A line to each follower of each; one who can't take it at once comes again."""
        for number, line in lines.items():
            whole = f"{line}\n".encode()
            for follower in list(self.followers.get(number, ())):
                with suppress(OSError):
                    if follower.send(whole) == len(whole):
                        continue
                self.followers[number].remove(follower)
                follower.close()


def listen(at: Path) -> socket.socket:
    """The socket that followers come to; one that was left goes."""
    at.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        listening.bind(str(at))
    finally:
        os.umask(before)
    listening.listen(MOST)
    return listening


def serve() -> NoReturn:
    """The service: followers stay while the database is away, and are told when it is back."""
    server, lost = Server(listen(path())), False
    notify("READY=1")
    while True:
        try:
            with closing(connection.connect()) as connected:
                lost = False
                server.serve(connected)
        except (InvirtError, psycopg2.Error) as error:
            if not lost:
                log.write(f"lost the database: {str(error).splitlines()[0]}", log.WARNING)
            lost = True
            time.sleep(RETRY)


def follow(number: int, limit: float = float("inf")) -> Iterator[Told]:
    """How the operation stands, now and at each change, until it is finished, for limit seconds.

    Comes again when it is cut off.  Raises Unreachable when the service doesn't
    answer for a minute.
    """
    began = heard = time.monotonic()
    while heard - began < limit:
        with suppress(OSError), socket.socket(socket.AF_UNIX) as line:
            line.settimeout(DEAF)
            line.connect(str(path()))
            line.sendall(f"{number}\n".encode())
            for said in line.makefile("rb"):
                heard = time.monotonic()
                if said.startswith(b"{") and said.endswith(b"\n"):  # else a sign of life, or cut off
                    now = _read(said)
                    yield now
                    if not now.is_open:
                        return
                if heard - began >= limit:
                    return
        if time.monotonic() - heard > GIVEN_UP:
            raise Unreachable("nobody tells how the operation goes", hint="Look at invirt-followers.service.")
        time.sleep(RETRY)


def _read(line: bytes) -> Told:
    said = json.loads(line)
    return Told(**{**said, "steps": tuple(Step(**step) for step in said["steps"])})
