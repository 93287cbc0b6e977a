"""The demo's second half: a machine that moves, a host that is emptied, and one that dies."""

from __future__ import annotations

import os
import re
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol

from invirt.base.errors import InvirtError
from invirt_lab import cluster, console
from invirt_lab.site import DOMAIN, HOSTS, REALM

ADMINISTRATOR = f"bob@{REALM}"
EVERY = 0.2  # seconds between two pings
PINGED = "10"  # seconds
_COUNTS = re.compile(r"(\d+) packets transmitted, (\d+) received")
_ASKED = re.compile(r"here (\$#|0)\.")  # the terminal's question whether somebody is there
_CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\r\x07]")


class Shown(Protocol):
    """The demo, as far as this half needs it."""

    def remctl(self, user: str, *words: str, fails: int = 0) -> None:
        """A remctl call by a user; raises InvirtError unless it ends with the status fails."""

    def wait(self, what: str, work: Callable[[], None]) -> None:
        """Something that is waited for; raises what work raises."""


def show(demo: Shown, machine: str) -> None:
    """With alice's machine, which runs; it does afterwards, too."""
    with administrator():
        _move(demo, machine)
        _drain(demo, machine)
        _die(demo, machine)


@contextmanager
def administrator() -> Iterator[None]:
    """Bob is one of the site's, for the length of the block."""
    print(f"\n{ADMINISTRATOR} becomes an administrator of the site, for now.")
    cluster.on("db", "invirt-admin", "administrator", "add", ADMINISTRATOR)
    try:
        yield
    finally:
        cluster.on("db", "invirt-admin", "administrator", "remove", ADMINISTRATOR)


def _move(demo: Shown, machine: str) -> None:
    """Under a ping, and a console on which something is remembered."""
    with console.over_ssh("alice", machine) as terminal, ThreadPoolExecutor() as pool:
        console.type_there(terminal, "mind=keeps")
        pinged = pool.submit(_ping, machine)
        demo.remctl("bob", "admin", "machine", "migrate", machine)
        said = console.type_there(terminal, "echo what it had in mind: $mind")
        os.write(terminal, console.LEAVE)
        demo.wait("the console, which was open all the while, says", lambda: _print(said))
        demo.wait(f"alice's ping, {1 / EVERY:.0f} a second", lambda: _print(_lost(pinged)))


def _ping(machine: str) -> str:
    ping = ("ping", "-i", str(EVERY), f"{machine}.{DOMAIN}")
    return cluster.as_user("alice", "timeout", "-s", "INT", PINGED, *ping, check=False).stdout


def _lost(pinged: Future[str]) -> str:
    counted = _COUNTS.search(said := pinged.result())
    if counted is None:
        raise InvirtError("ping counted nothing", hint=said)
    sent, got = map(int, counted.groups())
    return f"{sent} were sent, {sent - got} were lost: {(sent - got) * EVERY:.1f} s"


def _print(text: str) -> None:
    lines = [line.rstrip() for line in _CONTROLS.sub("", text).splitlines() if line.strip()]
    lines = [line for line in lines if not _ASKED.search(line)]
    print(textwrap.indent("\n".join(lines), "    "))


def _drain(demo: Shown, machine: str) -> None:
    host = _home(machine)
    demo.remctl("bob", "admin", "host", "drain", host)
    demo.remctl("bob", "admin", "host", "rejoin", host)


def _die(demo: Shown, machine: str) -> None:
    """As by a power cut; who says that it is off is an administrator."""
    host = _home(machine)
    print(f"\nscripts/lab kill {host}: its power is gone")
    cluster.kill(host)
    demo.remctl("bob", "admin", "host", "lost", host, "--confirm", "power-off")
    demo.wait(f"the prompt of {machine}, elsewhere", lambda: _back(machine, host))
    demo.remctl("alice", "control", machine, "status")
    print(f"\nscripts/lab boot {host}")
    cluster.boot(host)
    demo.wait(f"{host}, which was lost, to boot", lambda: cluster.wait_booted(host))
    demo.wait("its first sign of life", lambda: _signs(host))
    demo.remctl("bob", "admin", "host", "rejoin", host)


def _back(machine: str, host: str, timeout: float = 120) -> None:
    """Once it runs on another host, and its shell answers."""
    deadline = time.monotonic() + timeout
    while not any(_runs(machine, other) for other in HOSTS if other != host):
        if time.monotonic() > deadline:
            raise InvirtError(f"{machine} runs nowhere", hint="scripts/lab log remote")
        time.sleep(0.5)
    console.wait_for_prompt(machine)


def _runs(machine: str, host: str) -> bool:
    return f"d_{machine}" in cluster.on(host, "xm", "list").stdout.split()


def _signs(host: str, timeout: float = 60) -> None:
    """Until the host tells the database that it lives."""
    question = f"SELECT 1 FROM host_signs JOIN hosts USING (host_id) WHERE name = '{host}'"
    asked = (
        "psql",
        "-XAtq",
        "-U",
        "invirt",
        "-d",
        "invirt",
        "-c",
        f"{question} AND seen_at > now() - interval '5 s'",
    )
    deadline = time.monotonic() + timeout
    while not cluster.on("db", *asked).stdout:
        if time.monotonic() > deadline:
            raise InvirtError(f"{host} tells the database nothing", hint=f"scripts/lab log {host}")
        time.sleep(0.5)


def _home(machine: str) -> str:
    host = console.host_of(machine)
    if host is None:
        raise InvirtError(f"{machine} is off")
    return host
