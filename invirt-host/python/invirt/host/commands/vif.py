"""invirt-vif: guests' interfaces; for Xen's vif script, for units and for administrators."""

from __future__ import annotations

from functools import partial
from typing import Any

from invirt import config
from invirt.base.cli import Argument, Command, Flag, Found, Option, Verb, show
from invirt.base.errors import NotFound
from invirt.base.names import DomainName, machine_of
from invirt.host.network import routes, vif
from invirt.host.network.rules import REASONS
from invirt.host.network.rules import rules as generate


def add(interface: str, mac: str, ip: tuple[str, ...], name: DomainName, other: tuple[str, ...]) -> None:
    """Guard the interface, bring it up, and lead the addresses to it."""
    vif.add(interface, mac, list(ip), name, others=list(other))


def remove(interface: str) -> None:
    """Guard the interface no more, and lead no address to it."""
    vif.remove(interface)


def reload() -> None:
    """Guard those again whose rules somebody has flushed."""
    vif.reload()


def rules(interface: str, mac: str, ip: tuple[str, ...], name: DomainName, other: tuple[str, ...]) -> str:
    """The rules, for a look at them."""
    servers = config.network.servers
    return generate(interface, mac, [*ip, *other], name=name, servers=servers, near=routes.near())


def counters(guest: str | None, all: bool) -> Found:
    """What each guest's interface let pass and refused."""
    rows = [
        row
        for row in vif.counters()
        if guest in (None, row["interface"], row["domain"], machine_of(DomainName(f"{row['domain']}")))
    ]
    if guest and not rows:
        raise NotFound(f"no guest {guest} has an interface on this host")
    return Found(rows, shown=partial(_lines, all=all))


def _lines(rows: list[dict[str, Any]], all: bool) -> str:
    lines = []
    for row in rows:
        lines.append(f"{row['domain'] or '-'} on {row['interface']}: {row['passed']} packets passed")
        for reason, about in REASONS.items():
            refused = row.get(reason, 0)  # a guest may have been booted by an older version
            if refused or all:
                lines.append(f"{refused:>10}  {reason:<12}  {about}")
    return "".join(f"{line}\n" for line in lines)


INTERFACE = Argument("interface", "the guest's, on this host", metavar="INTERFACE", sample="vif7.0")
GUARDED = (
    INTERFACE,
    Argument("mac", "from which alone it may send", metavar="MAC", sample="00:16:3e:12:34:56"),
    Argument("ip", "from which alone it may send", metavar="ADDRESS", several=True, sample="192.0.2.7"),
    Option(
        "other",
        "an address of another interface of the guest's, from which it may send here, too",
        metavar="ADDRESS",
        several=True,
    ),
    Option("name", "the guest's, for log and counters", metavar="DOMAIN", default=""),
)
COUNTED = (
    Argument("guest", "a machine, a domain or an interface", metavar="NAME", required=False),
    Flag("all", "reasons for which nothing was refused, too"),
)
VERBS = (
    Verb("add", "guard an interface, bring it up, and lead the guest's addresses to it", add, GUARDED,
         changes=True),
    Verb("rules", "print the nftables that add would load", rules, GUARDED, shown=show.text),
    Verb("remove", "guard an interface no more; one that is gone is no error", remove, (INTERFACE,),
         changes=True),
    Verb("reload", "load what add loaded once more, after a flush", reload, changes=True),
    Verb("counters", "how many packets of guests passed and were refused, and why", counters, COUNTED,
         example="inode"),
)  # fmt: skip
COMMAND = Command(
    name="invirt-vif",
    section=8,
    summary="guard guests' interfaces",
    description="A guest can send nothing but what comes from its own MAC and addresses, and reaches\n"
    "DHCP and DNS of hosts and servers (network.servers of invirt.yaml), but no other port.",
    example="invirt-vif counters inode",
    verbs=VERBS,
)
