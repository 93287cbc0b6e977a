"""Two remote servers, each a process of its own, that work on this process' hosts."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Client, Listener
from unittest.mock import patch

from invirt.base.errors import InvirtError
from invirt.remote.hosts import Hosts
from invirt.remote.operations import Actor, submit
from tests.parts.operations.conftest import ALICE
from tests.parts.operations.fakehosts import FakeHosts

NAMES = ("remote.invirt.test", "remote2.invirt.test")
DEADLINE = 300  # seconds
Outcome = InvirtError | None
Task = Callable[[Hosts], Outcome]


def submitted(
    kind: str, name: str, hosts: Hosts, /, who: str = ALICE, key: str | None = None, **wants: object
) -> Outcome:
    """Submit with a connection of its own; None if it was done, else why not."""
    try:
        submit(kind, Actor(who), name, wants, key, hosts=hosts)
    except InvirtError as error:
        return error
    return None


class HostsElsewhere(FakeHosts):
    """The hosts of the process that listens at an address."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address = address

    def call(self, hostname: str, *words: str, timeout: float) -> str:
        """See Hosts."""
        with Client(self.address) as line:
            line.send((hostname, words))
            answer = line.recv()
        if isinstance(answer, Exception):
            raise answer
        return str(answer)


def work(server: str, address: str, tasks: Sequence[Task], at_once: int) -> list[Outcome]:
    """A server's part, in its own process, which dies if it takes too long."""
    signal.alarm(DEADLINE)
    hosts = HostsElsewhere(address)
    with patch.object(socket, "gethostname", return_value=server), ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(lambda task: task(hosts), tasks))


def run(hosts: FakeHosts, tasks: Sequence[Task], at_once: int) -> list[Outcome]:
    """Have each server do every other task, so many at once in all, and return the outcomes."""
    with (
        Listener(family="AF_UNIX", backlog=at_once) as listener,
        ProcessPoolExecutor(len(NAMES), get_context("fork")) as pool,
    ):
        address, each = str(listener.address), at_once // len(NAMES)
        parts = [
            pool.submit(work, name, address, tasks[number :: len(NAMES)], each)
            for number, name in enumerate(NAMES)
        ]
        for part in parts:
            part.add_done_callback(lambda _: Client(address).send(None))
        serve(listener, hosts)
    outcomes: list[Outcome] = [None] * len(tasks)
    for number, part in enumerate(parts):
        outcomes[number :: len(NAMES)] = part.result()
    return outcomes


def serve(listener: Listener, hosts: FakeHosts) -> None:
    """Answer for the hosts until all servers are done, or dead."""
    busy = len(NAMES)
    while busy:
        with suppress(EOFError, ConnectionError), listener.accept() as line:
            asked = line.recv()
            if asked is None:
                busy -= 1
            else:
                line.send(answer(hosts, *asked))


def answer(hosts: FakeHosts, hostname: str, words: tuple[str, ...]) -> str | Exception:
    """What a host says, or what is to be raised where it was asked."""
    try:
        return hosts.call(hostname, *words, timeout=0)
    except Exception as error:
        return error
