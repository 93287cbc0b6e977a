"""remctl HOST domain …: the guests of this host, for remote."""

from __future__ import annotations

import argparse
import json

from invirt.base import validate
from invirt.base.cli import Command
from invirt.host import loading, reservation, tokens, xmconfig
from invirt.host.domain import machine_name


def create(arguments: argparse.Namespace) -> None:
    """Boot the machine as the database describes it; Denied where nothing is reserved for it."""
    driver = loading.hypervisor()
    with tokens.claimed(arguments.token, arguments.name):
        if not driver.running(f"d_{arguments.name}"):
            reservation.require(f"d_{arguments.name}")
            file = xmconfig.find("invirt-database")
            driver.create(xmconfig.evaluate(file, {"machine_name": arguments.name}))


def shutdown(arguments: argparse.Namespace) -> None:
    """Ask the guest to power off."""
    driver = loading.hypervisor()
    with tokens.claimed(arguments.token, arguments.name):
        driver.shutdown(f"d_{arguments.name}")


def reboot(arguments: argparse.Namespace) -> None:
    """Ask the guest to reboot, or reset it."""
    driver = loading.hypervisor()
    with tokens.claimed(arguments.token, arguments.name):
        driver.reboot(f"d_{arguments.name}")


def destroy(arguments: argparse.Namespace) -> None:
    """End the guest at once."""
    driver = loading.hypervisor()
    with tokens.claimed(arguments.token, arguments.name):
        driver.destroy(f"d_{arguments.name}")


def fence(arguments: argparse.Namespace) -> None:
    """Do nothing, but remember the token: no older command is obeyed any more."""
    with tokens.claimed(arguments.token, arguments.name):
        pass


def status(arguments: argparse.Namespace) -> None:
    """Print whether the guest runs here."""
    running = loading.hypervisor().running(f"d_{arguments.name}")
    print(json.dumps({"name": arguments.name, "state": "running" if running else "off"}))


def show_list(arguments: argparse.Namespace) -> None:
    """Print all machines that run here, and why those ended that ran here last and are off."""
    driver = loading.hypervisor()
    found: list[dict[str, object]] = [
        {"name": name, "state": "running", "memory": domain.memory, "cpus": domain.vcpus}
        for domain in driver.domains()
        if (name := machine_name(domain.name))
    ]
    running = {row["name"] for row in found}
    found += [
        {"name": name, "state": "off", "ended": why}
        for domain, why in sorted(driver.ended().items())
        if (name := machine_name(domain)) and name not in running
    ]
    print(json.dumps(found))


_VERBS = (
    ("create", create, "boot a machine as the database describes it"),
    ("shutdown", shutdown, "ask a guest to power off, and don't wait"),
    ("reboot", reboot, "ask a guest to reboot, and reset it if it doesn't"),
    ("destroy", destroy, "end a guest at once"),
)


def _arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for word, run, summary in _VERBS:
        verb = verbs.add_parser(word, help=summary, description=summary)
        verb.add_argument("name", metavar="NAME", type=validate.machine_name)
        verb.add_argument("token", metavar="TOKEN", type=validate.token)
        verb.set_defaults(verb=run)
    summary = "do nothing, and refuse older commands for a machine, or trash.N, from now on"
    verb = verbs.add_parser("fence", help=summary, description=summary)
    verb.add_argument("name", metavar="NAME", type=tokens.subject)
    verb.add_argument("token", metavar="TOKEN", type=validate.token)
    verb.set_defaults(verb=fence)
    verb = verbs.add_parser(
        "status", help="whether a guest runs here", description="whether a guest runs here"
    )
    verb.add_argument("name", metavar="NAME", type=validate.machine_name)
    verb.set_defaults(verb=status)
    verb = verbs.add_parser("list", help="the guests that run here", description="the guests that run here")
    verb.set_defaults(verb=show_list)


COMMAND = Command(
    name="invirt-host-domain",
    section=8,
    summary="the guests of this host",
    description="Run by remctld for the remote server as `domain`. TOKEN is a new, higher one with each "
    "command; one that is not higher than all seen for NAME is refused. With a new one, all verbs are safe "
    "to repeat.",
    example="remctl host1.example.org domain status inode",
    arguments=_arguments,
    run=lambda arguments: arguments.verb(arguments),
    remctl="domain",
)
