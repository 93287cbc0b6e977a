"""The table of checks, and how they are run: side by side, each with a deadline."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from invirt.base import log
from invirt.base.errors import InvirtError
from invirt.check import (
    answers,
    certificates,
    clocks,
    configuration,
    firewall,
    keytabs,
    names,
    ports,
    rights,
    room,
    services,
    versions,
)
from invirt.check.findings import Finding, Findings, error
from invirt.check.server import Server

DEADLINE = 45.0  # seconds: some ask several servers, one after the other
SOON = 2.0  # seconds until it is told what is still waited for


@dataclass(frozen=True)
class Check:
    """look finds what is wrong of that which `about` says.  role: whose server it is for; none: every one."""

    name: str
    about: str
    look: Callable[[Server], Findings]
    role: str = ""


CHECKS = (
    Check(
        "keytabs", "whose keys there are, who can read them, and whether the KDC has the same", keytabs.look
    ),
    Check("clock", "against the database's and the KDC's", clocks.look),
    Check("names", "of all servers, to an address and back", names.look),
    Check("ports", "of other servers, that this one calls", ports.look),
    Check("firewall", "each role's table is loaded, as invirt.yaml makes it", firewall.look),
    Check("certificates", "names, uses, keys, authority, and 30 days before they end", certificates.look),
    Check("services", "those of the roles run, none has failed", services.look),
    Check("versions", "of packages and of the database's tables", versions.look),
    Check("configuration", "invirt.yaml is right, applied, and the database server's", configuration.look),
    Check("database", "lets this server in, and read what it must", rights.look),
    Check("dns", "answers for each zone", answers.dns, "dns"),
    Check("dhcp", "has its port", answers.dhcp, "dhcp"),
    Check("kvm", "guests run on the processor itself", room.kvm, "host"),
    Check("space", "on disks, for bytes and files", room.space),
)


def of(server: Server, wanted: Sequence[str] = ()) -> list[Check]:
    """Those for the server's roles; wanted: only these."""
    there = [check for check in CHECKS if not check.role or check.role in server.roles]
    return [check for check in there if not wanted or check.name in wanted]


def run(server: Server, checks: Sequence[Check], deadline: float = DEADLINE) -> Mapping[str, list[Finding]]:
    """What each finds.  One that doesn't end in time is a finding, and is left to itself."""
    end = time.monotonic() + deadline
    under_way = {check: _started(check, server) for check in checks}
    _tell(under_way)
    return {check.name: _ended(check, future, end, deadline) for check, future in under_way.items()}


def _started(check: Check, server: Server) -> Future[list[Finding]]:
    future: Future[list[Finding]] = Future()

    def look() -> None:
        try:
            future.set_result(list(dict.fromkeys(check.look(server))))  # roles share files
        except BaseException as failed:
            future.set_exception(failed)

    threading.Thread(target=look, daemon=True, name=check.name).start()
    return future


def _tell(under_way: Mapping[Check, Future[list[Finding]]]) -> None:
    """On a terminal it is told what takes long."""
    began = time.monotonic()
    while (left := [check.name for check, future in under_way.items() if not future.done()]) and (
        time.monotonic() < began + SOON
    ):
        time.sleep(0.05)
    if left and sys.stderr.isatty():
        print(f"still looking at: {', '.join(left)}", file=sys.stderr)


def _ended(check: Check, future: Future[list[Finding]], end: float, deadline: float) -> list[Finding]:
    try:
        return future.result(max(0.0, end - time.monotonic()))
    except TimeoutError:
        todo = f"invirt-check {check.name} tries it again; a server that it asks may stand still."
        return [error(check.name, f"no end within {deadline:g} s", todo)]
    except InvirtError as failed:
        return [error(check.name, failed.message, failed.hint)]
    except OSError as failed:
        return [error(failed.filename or check.name, failed.strerror or str(failed), "Look at it.")]
    except Exception as bug:
        log.bug(bug, program="invirt-check")
        return [error(check.name, f"{type(bug).__name__}: a bug of this check", "The log has the details.")]
