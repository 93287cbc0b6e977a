"""xm: domains of this host, as in 2008."""

from __future__ import annotations

import argparse

from invirt.base.cli import Command
from invirt.base.errors import BadInput
from invirt.host import hypervisor, tokens, xmconfig
from invirt.host.domain import machine_name


def create(arguments: argparse.Namespace) -> None:
    """Evaluate the configuration and boot the domain."""
    variables = {}
    for word in arguments.variables:
        name, equals, value = word.partition("=")
        if not equals or not name.isidentifier():
            raise BadInput(f"{word!a} is not of the form key=value")
        variables[name] = value
    config = xmconfig.evaluate(xmconfig.find(arguments.config), variables)
    with tokens.locked(machine_name(config.name) or config.name):
        hypervisor.load().create(config)


def show_list(arguments: argparse.Namespace) -> None:
    """Print the domains that run."""
    print(f"{'Name':<40} {'Mem':>6} {'VCPUs':>5}")
    for domain in hypervisor.load().domains():
        print(f"{domain.name:<40} {domain.memory:>6} {domain.vcpus:>5}")


def console(arguments: argparse.Namespace) -> None:
    """Join this terminal to the guest's serial console."""
    hypervisor.load().console(arguments.domain)


def shutdown(arguments: argparse.Namespace) -> None:
    """Ask the guest to power off."""
    hypervisor.load().shutdown(arguments.domain)


def reboot(arguments: argparse.Namespace) -> None:
    """Ask the guest to reboot, or reset it."""
    hypervisor.load().reboot(arguments.domain)


def destroy(arguments: argparse.Namespace) -> None:
    """End the guest at once."""
    hypervisor.load().destroy(arguments.domain)


_VERBS = (
    ("console", console, "join the guest's serial console; ^] leaves"),
    ("shutdown", shutdown, "ask the guest to power off"),
    ("reboot", reboot, "ask the guest to reboot, and reset it if it doesn't"),
    ("destroy", destroy, "end the guest at once"),
)


def _arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    verb = verbs.add_parser("create", help="boot a domain")
    verb.add_argument("config", metavar="CONFIG", help="a file, or a name in /etc/xen")
    verb.add_argument("variables", metavar="KEY=VALUE", nargs="*", help="variables in the file")
    verb.set_defaults(verb=create)
    verbs.add_parser("list", help="domains that run here").set_defaults(verb=show_list)
    for word, run, summary in _VERBS:
        verb = verbs.add_parser(word, help=summary)
        verb.add_argument("domain", metavar="DOMAIN")
        verb.set_defaults(verb=run)


COMMAND = Command(
    name="xm",
    section=8,
    summary="domains of this host",
    description="The 2008 command on the hypervisor that invirt.yaml names. CONFIG is a Python file:\n"
    "it sees each KEY as a variable, and what it sets are the words of xl.cfg(5).",
    example="xm create invirt-database machine_name=inode",
    arguments=_arguments,
    run=lambda arguments: arguments.verb(arguments),
)
