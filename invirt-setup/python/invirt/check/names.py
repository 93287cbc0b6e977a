"""Names of servers, both ways: the address of each, and back."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

from invirt.base.errors import CommandFailed
from invirt.base.process import run
from invirt.check.findings import Finding, Findings, error, warning
from invirt.check.server import Server

PATIENCE = 6  # seconds for a name
AT_ONCE = 8
WRITE = "Write its name and address into /etc/hosts of every server, or into the DNS that they ask."


def look(server: Server) -> Findings:
    """Each server that invirt.yaml or the database names."""
    names = sorted(server.others())
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from chain.from_iterable(pool.map(lambda name: _look(name, name == server.name), names))


def _look(name: str, own: bool) -> list[Finding]:
    addresses = _asked("ahosts", name)
    if addresses is None:
        return [
            error(name, f"no answer within {PATIENCE} s to what its address is", "Look at /etc/resolv.conf.")
        ]
    if not addresses:
        return [error(name, "it has no address here", WRITE)]
    found = (_of_address(name, address, own) for address in dict.fromkeys(line[0] for line in addresses))
    return list(chain.from_iterable(found))


def _of_address(name: str, address: str, own: bool) -> Iterable[Finding]:
    if ipaddress.ip_address(address.partition("%")[0]).is_loopback:
        found = warning if own else error
        what = f"here it is {address}, which is nobody's but this server's own"
        yield found(
            name, what, "In /etc/hosts give it the address by which others reach it, and no 127.… line."
        )
        return
    back = _asked("hosts", address)
    names = [word for line in back or [] for word in line[1:]]
    if not names:
        yield warning(name, f"its address {address} leads back to no name", WRITE)
    elif name not in names:
        what = f"its address {address} leads back to {names[0]}"
        yield warning(name, what, "Put that right in DNS or /etc/hosts: Kerberos may take one for the other.")


def _asked(database: str, key: str) -> list[list[str]] | None:
    """The words of each line that getent says; None: nothing in time."""
    try:
        done = run(["getent", database, key], timeout=PATIENCE, check=False)
    except CommandFailed:
        return None
    return [line.split() for line in done.stdout.splitlines()]
