"""xm: domains of this host, as in 2008."""

from __future__ import annotations

import argparse

from invirt.base.cli import Command
from invirt.base.errors import BadInput, NotFound
from invirt.host import loading, reservation, tokens, xmconfig
from invirt.host.domain import domain_name, machine_name
from invirt.host.protocols import Hypervisor
from invirt.host.words import KNOWN, SEVERAL, Value


def create(arguments: argparse.Namespace) -> None:
    """Evaluate the configuration and boot the domain."""
    config = xmconfig.evaluate(xmconfig.find(arguments.config), _variables(arguments.variables))
    driver = loading.hypervisor()
    with tokens.locked(machine_name(config.name) or config.name):
        reservation.require(config.name)
        driver.create(config)
    if arguments.console:
        driver.console(config.name)


def _variables(words: list[str]) -> dict[str, Value]:
    """The KEY=VALUEs, each once but those of which there can be several."""
    variables: dict[str, Value] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name.isidentifier():
            raise BadInput(f"{word!a} is not of the form key=value")
        before = variables.get(name, [])
        if name in SEVERAL and isinstance(before, list):
            variables[name] = [*map(str, before), value]
        elif name in variables:
            raise BadInput(f"{name}= is given twice")
        else:
            variables[name] = _value(name, value)
    return variables


def _value(name: str, value: str) -> Value:
    """As the file sees it: a number where the word wants one."""
    try:
        return KNOWN[name](value) if name in KNOWN and value else value
    except ValueError as error:
        raise BadInput(f"command line: {name}: {error}") from error


def show(arguments: argparse.Namespace) -> None:
    """Print a table of the domains that run."""
    driver = loading.hypervisor()
    names = [_known(driver, name) for name in getattr(arguments, "domains", [])]
    print(driver.show(arguments.table, names), end="")


def act(arguments: argparse.Namespace) -> None:
    """Do to a domain what the verb says: console, shutdown, reboot or destroy."""
    driver = loading.hypervisor()
    getattr(driver, arguments.act)(_known(driver, arguments.domain))


def _known(driver: Hypervisor, name: str) -> str:
    """The domain's name; NotFound where it must be that a machine was meant, whose domain is d_NAME."""
    if not driver.running(name) and driver.running(f"d_{name}"):
        raise NotFound(f"there is no domain {name}", hint=f"That of machine {name} is d_{name}.")
    return name


_ACTS = (
    ("console", "join the guest's serial console; ^] leaves"),
    ("shutdown", "ask the guest to power off"),
    ("reboot", "ask the guest to reboot, and reset it if it doesn't"),
    ("destroy", "end the guest at once"),
)
_TABLES = (
    ("list", "domains that run here: memory in MiB, time on CPUs in seconds"),
    ("vcpu-list", "their virtual CPUs"),
    ("uptime", "how long they have been running"),
)


def _arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    verb = verbs.add_parser("create", help="boot a domain")
    verb.add_argument("-c", "--console", action="store_true", help="join its console then")
    verb.add_argument("config", metavar="CONFIG", help="a file, or a name in /etc/xen")
    verb.add_argument(
        "variables", metavar="KEY=VALUE", nargs="*", help="words of xl.cfg(5), or variables in the file"
    )
    verb.set_defaults(verb=create)
    for word, summary in _TABLES:
        verb = verbs.add_parser(word, help=summary)
        verb.add_argument("domains", metavar="DOMAIN", nargs="*", type=domain_name, help="these alone")
        verb.set_defaults(verb=show, table=word)
    verbs.add_parser("info", help="this host").set_defaults(verb=show, table="info")
    for word, summary in _ACTS:
        verb = verbs.add_parser(word, help=summary)
        verb.add_argument("domain", metavar="DOMAIN", type=domain_name)
        verb.set_defaults(verb=act, act=word)


COMMAND = Command(
    name="xm",
    section=8,
    summary="domains of this host",
    description="The 2008 command on the hypervisor that invirt.yaml names. CONFIG is a Python file:\n"
    "it sees each KEY as a variable, and what it sets are the words of xl.cfg(5). A KEY that is such a\n"
    "word counts more than the file's. What the hypervisor can't do is refused before anything starts.",
    example="xm create -c invirt-database machine_name=inode",
    arguments=_arguments,
    run=lambda arguments: arguments.verb(arguments),
)
