"""Where a guest moves to: it waits here, with its link guarded, until the other host has handed it over.

A host that sends one may have been taken over.  It can send only a machine that remote has
told us to expect from it, and nothing but what that machine may have by the database.
"""

from __future__ import annotations

import json
import socket
import threading
from base64 import b64decode
from contextlib import suppress
from typing import Any

from invirt.base import log, validate
from invirt.base.errors import BadInput, Denied, InvirtError, NotFound
from invirt.base.names import MachineName, domain_of
from invirt.host import loading, reservation, tokens, xmconfig
from invirt.host.console import logs
from invirt.host.domain import DomainConfig
from invirt.host.moving import disks, papers, wire
from invirt.host.moving.papers import Paper
from invirt.host.protocols import Coming

# What gives rights, and what the guest's own state can't be without; the rest travels as it is.
SAME = ("name", "machine", "type", "builder", "disk", "vif", "kernel", "ramdisk", "bootloader", "firmware")
WORDS = {*SAME, "memory", "maxmem", "vcpus", "maxvcpus", "root", "extra", "cmdline", "uuid", "boot", "vnc",
         "vncunused", "serial", "on_reboot", "on_poweroff", "on_crash", "acpi", "apic", "pae"}  # fmt: skip
MOST = 1 << 20  # bytes of a console's history
_database = threading.Lock()  # one session for all that come at once


def expect(name: MachineName, source: str) -> None:
    """From now on the machine may come from the host source."""
    loading.mover()
    reservation.require(domain_of(name))
    if loading.hypervisor().running(domain_of(name)):
        raise BadInput(f"{name} is here already")
    papers.write(name, Paper("expected", source, _known(name).machine or 0))


def arrive(name: MachineName) -> None:
    """The source has handed the guest over: let it run here, unless it does; one that ended stays off."""
    paper = papers.read(name)
    if paper is None or paper.state == "handed":
        raise NotFound(f"{name} was not expected here")
    _let_run(name, paper)
    loading.mover().own(domain_of(name))


def _let_run(name: MachineName, paper: Paper) -> None:
    papers.write(name, Paper("arrived", paper.peer, paper.machine))
    loading.mover().arrive(domain_of(name))


def serve(plain: socket.socket) -> None:
    """One connection, to its end; OSError if it is nobody's that may be here."""
    other, names = wire.answer(plain)
    with other:
        try:
            kind, content = other.read(wire.ABOUT, wire.DISK)
            (_receive if kind == wire.ABOUT else disks.receive)(content, other, names)
        except InvirtError as error:
            log.write(f"a guest or a disk did not come: {error.message}", log.WARNING)
            with suppress(InvirtError):  # the other side may have gone
                other.send(wire.NO, error.message.encode()[:500])
                other.drain()


def _receive(content: bytes, other: wire.Wire, names: frozenset[str]) -> None:
    about = _about(content)
    name = validate.machine_name(str(about.get("name")))
    with tokens.locked(name):
        paper = papers.read(name)
        if paper is None or paper.state != "expected" or paper.peer not in names:
            raise Denied(f"{name} is not expected from {' '.join(sorted(names)) or 'nobody'}")
        with _database:
            reservation.require(domain_of(name))
            known, memory = _known(name), reservation.memory(name)
        config = checked(about.get("config"), known, memory)
        coming = loading.mover().coming(config, about)
        coming.console(other.read(wire.LOG)[1][-MOST:])
        logs.begin_with(known.machine or 0, _history(about))
        try:
            _take_in(other, coming)
        except BaseException:
            coming.drop()
            raise
        other.send(wire.YES)
        # Whether it was handed over when nothing comes any more is for remote to find out.
        rest = other.read(wire.GO)[1][-MOST:]
        coming.console(rest)
        logs.add(known.machine or 0, rest)
        _let_run(name, paper)
        other.send(wire.YES)  # only then the source lets go of its disks


def _take_in(other: wire.Wire, coming: Coming) -> None:
    coming.begin()
    other.send(wire.YES)
    while (frame := other.read(wire.MEMORY, wire.END))[0] == wire.MEMORY:
        try:
            coming.take(frame[1], wire.PATIENCE)
        except OSError as error:
            raise BadInput(f"the guest can't be taken in here: {coming.said() or error}") from error
    coming.finish()


def _about(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadInput("that is no guest") from error
    if not isinstance(found, dict):
        raise BadInput("that is no guest")
    return found


def _history(about: dict[str, Any]) -> bytes:
    """What its users have been shown of its console; nothing by a host of the version before."""
    try:
        return b64decode(str(about.get("history", "")), validate=True)
    except ValueError as error:
        raise BadInput("its console's history is none") from error


def _known(name: MachineName) -> DomainConfig:
    """As the database describes the machine."""
    return xmconfig.evaluate(xmconfig.find("invirt-database"), {"machine_name": name})


def checked(said: object, known: DomainConfig, memory: int) -> DomainConfig:
    """The configuration that a guest runs with; BadInput unless it has nothing but what is known allows.

    memory: MiB that are reserved for it here.
    """
    if not isinstance(said, dict) or not set(said) <= WORDS:
        raise BadInput(f"{known.name} runs with settings that can't come along")
    settings = xmconfig.checked(said)
    for word in SAME:
        if settings.get(word) != known.settings.get(word):
            raise BadInput(
                f"{known.name} runs with another {word} than the database has",
                hint="Shut it down and boot it: it is placed anew then.",
            )
    config = DomainConfig(settings)
    if config.memory > memory:
        raise BadInput(f"{known.name} has {config.memory} MiB, but {memory} are reserved for it here")
    return config
