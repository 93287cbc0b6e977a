"""invirt-vif: guests' interfaces; for Xen's vif script, for units and for administrators."""

from __future__ import annotations

import argparse
import json

from invirt import config
from invirt.base.cli import Command
from invirt.base.errors import NotFound
from invirt.host.network import routes, vif
from invirt.host.network.rules import REASONS
from invirt.host.network.rules import rules as generate


def add(arguments: argparse.Namespace) -> None:
    """Guard the interface, bring it up, and lead the addresses to it."""
    vif.add(arguments.interface, arguments.mac, arguments.ip, arguments.name, others=arguments.other)


def remove(arguments: argparse.Namespace) -> None:
    """Take that away again."""
    vif.remove(arguments.interface)


def rules(arguments: argparse.Namespace) -> None:
    """Print the rules, for a look at them."""
    text = generate(
        arguments.interface,
        arguments.mac,
        [*arguments.ip, *arguments.other],
        name=arguments.name,
        servers=config.network.servers,
        near=routes.near(),
    )
    print(text, end="")


def counters(arguments: argparse.Namespace) -> None:
    """Print what each guest's interface let pass and refused."""
    wanted = arguments.guest
    rows = [
        row
        for row in vif.counters()
        if wanted in (None, row["interface"], row["domain"], f"{row['domain']}"[2:])
    ]
    if wanted and not rows:
        raise NotFound(f"no guest {wanted} has an interface on this host")
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        print(f"{row['domain'] or '-'} on {row['interface']}: {row['passed']} packets passed")
        for reason, about in REASONS.items():
            refused = row.get(reason, 0)  # a guest may have been booted by an older version
            if refused or arguments.all:
                print(f"{refused:>10}  {reason:<12}  {about}")


def _interface(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("interface", metavar="INTERFACE")


def _guarded(verb: argparse.ArgumentParser) -> None:
    _interface(verb)
    verb.add_argument("mac", metavar="MAC")
    verb.add_argument("ip", metavar="ADDRESS", nargs="+")
    verb.add_argument("--name", default="", metavar="DOMAIN", help="the guest's, for log and counters")
    about = "an address of another interface of the guest's, from which it may send here, too"
    verb.add_argument("--other", default=[], action="append", metavar="ADDRESS", help=about)


def _counted(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("guest", metavar="NAME", nargs="?", help="a machine, a domain or an interface")
    verb.add_argument("--all", action="store_true", help="reasons for which nothing was refused, too")
    verb.add_argument("--json", action="store_true", help="for programs")


_VERBS = (
    ("add", add, _guarded, "guard an interface, bring it up, and lead the guest's addresses to it"),
    ("rules", rules, _guarded, "print the nftables that add would load"),
    ("remove", remove, _interface, "take that away; an interface that is gone is no error"),
    ("reload", lambda _: vif.reload(), lambda _: None, "load what add loaded once more, after a flush"),
    ("counters", counters, _counted, "how many packets of guests passed and were refused, and why"),
)


def _arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for word, run, arguments, summary in _VERBS:
        verb = verbs.add_parser(word, help=summary)
        arguments(verb)
        verb.set_defaults(verb=run)


COMMAND = Command(
    name="invirt-vif",
    section=8,
    summary="guard guests' interfaces",
    description="A guest can send nothing but what comes from its own MAC and addresses, and reaches\n"
    "DHCP and DNS of hosts and servers (network.servers of invirt.yaml), but no other port.",
    example="invirt-vif counters inode",
    arguments=_arguments,
    run=lambda arguments: arguments.verb(arguments),
)
