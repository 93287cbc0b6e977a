"""invirt-host-observer: what the database says of this host's guests, and they, stay true to each other."""

from __future__ import annotations

import os
import threading
import traceback
from collections.abc import Callable
from typing import NoReturn

from invirt.base.cli import SITE, Argument, Command, Option
from invirt.base.notify import notify
from invirt.database import connection
from invirt.database.connection import Connection
from invirt.database.follow import follow
from invirt.host import limits, loading, tokens
from invirt.host.console import conserver, logs
from invirt.host.console.conserver_list import Keeper
from invirt.host.network import cards, flushes, renewal
from invirt.host.observer import Observer

Part = Callable[[str], Callable[[], NoReturn]]


def _guests(host: str) -> Callable[[], NoReturn]:
    """Guests' states to the database; it waits for them, not for word."""
    driver = loading.hypervisor()
    observer = Observer(loading.watch(), driver.status, driver.destroy, tokens.outdate, host)
    return lambda: follow(None, 0, observer.turn)


def _network(host: str) -> Callable[[], NoReturn]:
    """Rules, routes and network cards of running guests from the database."""
    plugged = cards.Cards()

    def update(connected: Connection) -> None:
        renewal.update(connected)
        plugged.update(connected)

    def run() -> NoReturn:
        renewal.renew()
        follow(renewal.CHANNEL, renewal.EVERY, update)

    return run


def _limits(host: str) -> Callable[[], NoReturn]:
    """What running guests are held to, from the database."""
    keeper = limits.Keeper()
    return lambda: follow(limits.CHANNEL, limits.EVERY, keeper.update)


def _consoles(host: str) -> Callable[[], NoReturn]:
    """The list of consoles from the database; conserver waits for an empty one."""
    keeper = Keeper()
    keeper.begin()
    logs.begin()
    return lambda: follow(
        conserver.CHANNEL, conserver.EVERY, lambda connected: conserver.update(connected, keeper, host)
    )


def _rules(host: str) -> Callable[[], NoReturn]:
    """Rules that somebody has flushed are loaded again, whatever the database does."""
    return flushes.mend


PARTS: dict[str, Part] = {"guests": _guests, "network": _network, "consoles": _consoles, "rules": _rules}
# What needs more rights than those, and is a unit of its own.
APART: dict[str, Part] = {"limits": _limits}


def _run(host: str, only: str | None) -> None:
    connection.role = "host"
    threads = [
        threading.Thread(target=_or_end, args=(begin(host),), name=name)
        for name, begin in (PARTS if only is None else {**PARTS, **APART}).items()
        if only in (None, name)
    ]
    notify("READY=1")
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _or_end(run: Callable[[], NoReturn]) -> None:
    """A part that fails ends all: systemd starts them again."""
    try:
        run()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


COMMAND = Command(
    name="invirt-host-observer",
    section=8,
    summary="tell the database of this host's guests, and let guests follow the database",
    description=(
        "Writes whether each guest runs, since when and why it ended, as it happens, and every five\n"
        "seconds that this is still true: what `machine list` shows. When the address of a running\n"
        "machine is changed or taken away, its rules and routes are changed at once; the guest learns\n"
        "its new address at its next DHCP renewal. A machine's interface that is left without an address\n"
        "goes down. A new NIC is plugged into the running guest, and one that was removed is plugged\n"
        "out; what can't be is logged, and comes when the machine is booted again. Writes\n"
        "/run/invirt/conserver/consoles.cf, a line for each machine that runs here, and lets conserver\n"
        "read it again. Keeps the consoles' logs short, and removes those of machines that are no more."
    ),
    files={
        **SITE,
        "/run/invirt/conserver/consoles.cf": "the consoles that conserver serves",
        "/var/log/invirt/consoles": "their logs",
    },
    example="systemctl status invirt-host-observer",
    arguments=(
        Argument("host", "the host's name (default: this one's)", required=False, default=""),
        Option("only", "one part of its work", choices=(*PARTS, *APART)),
    ),
    run=_run,
    shown=None,
)
