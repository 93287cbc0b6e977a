"""invirt-vif: guard a guest's interface; for Xen's vif script and for administrators."""

from __future__ import annotations

import argparse

from invirt.base.cli import Command
from invirt.host import vif


def add(arguments: argparse.Namespace) -> None:
    """Guard the interface, bring it up, and lead the address to it."""
    vif.add(arguments.interface, arguments.mac, arguments.ip)


def remove(arguments: argparse.Namespace) -> None:
    """Take that away again."""
    vif.remove(arguments.interface)


def rules(arguments: argparse.Namespace) -> None:
    """Print the rules, for a look at them."""
    print(vif.rules(arguments.interface, arguments.mac, arguments.ip), end="")


_VERBS = (
    ("add", add, "guard an interface, bring it up, and lead the guest's address to it"),
    ("rules", rules, "print the nftables that add would load"),
    ("remove", remove, "take the rules away; an interface that is gone is no error"),
)


def _arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for word, run, summary in _VERBS:
        verb = verbs.add_parser(word, help=summary)
        verb.add_argument("interface", metavar="INTERFACE")
        if run is not remove:
            verb.add_argument("mac", metavar="MAC")
            verb.add_argument("ip", metavar="ADDRESS")
        verb.set_defaults(verb=run)


COMMAND = Command(
    name="invirt-vif",
    section=8,
    summary="guard a guest's interface",
    description="A guest can send nothing but what comes from its own MAC and address. "
    "Counters of what was dropped: nft list table netdev invirt_INTERFACE.",
    example="invirt-vif add inv17 52:54:00:00:00:11 192.0.2.17",
    arguments=_arguments,
    run=lambda arguments: arguments.verb(arguments),
)
