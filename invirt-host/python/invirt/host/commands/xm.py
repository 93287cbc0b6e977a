"""xm: domains of this host, as in 2008."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace

from invirt.base import validate
from invirt.base.cli import SITE, Argument, Command, Flag, Verb, show
from invirt.base.errors import BadInput, NotFound
from invirt.base.names import DomainName, MachineName, domain_of, machine_of
from invirt.host import loading, reservation, tokens, xmconfig
from invirt.host.domain import domain_name
from invirt.host.protocols import Hypervisor
from invirt.host.words import KNOWN, SEVERAL, Value
from invirt.host.xen import verbs


def create(config: str, variables: tuple[str, ...], console: bool) -> None:
    """Evaluate the configuration and boot the domain."""
    domain = xmconfig.evaluate(xmconfig.find(config), _variables(variables))
    driver = loading.hypervisor()
    with _locked(domain.name):
        reservation.require(domain.name)
        driver.create(domain)
    if console:
        driver.console(domain.name)


def _variables(words: Iterable[str]) -> dict[str, Value]:
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


def _table(name: str) -> Callable[..., str]:
    """What shows a table of the domains that run, or of the host."""

    def run(domains: tuple[DomainName, ...] = ()) -> str:
        driver = loading.hypervisor()
        return driver.show(name, [_known(driver, domain) for domain in domains])

    return run


def block_list(domain: DomainName) -> str:
    """The table of one domain."""
    driver = loading.hypervisor()
    return driver.show("block-list", [_known(driver, domain)])


def _act(name: str) -> Callable[[DomainName], None]:
    """What does to a domain what the verb says: that of the driver which is called so."""

    def run(domain: DomainName) -> None:
        driver = loading.hypervisor()
        with _locked(_known(driver, domain)):
            getattr(driver, name)(domain)

    return run


def console(domain: DomainName) -> None:
    """Join it; others may work on the domain meanwhile."""
    driver = loading.hypervisor()
    driver.console(_known(driver, domain))


def _file(word: str) -> str:
    """As xl takes it: printable, and nothing that looks like an option."""
    if not word or not word.isprintable() or word.startswith("-"):
        raise BadInput(f"{word!a} is no file's name", hint="Say where it lies: ./NAME.")
    return word


def _locked(domain: DomainName) -> AbstractContextManager[None]:
    """The lock that remote's commands take for the same guest."""
    return tokens.locked(machine_of(domain) or domain)


def _known(driver: Hypervisor, name: DomainName) -> DomainName:
    """The domain's name; NotFound where it must be that a machine was meant."""
    meant = domain_of(MachineName(name))
    if not driver.running(name) and driver.running(meant):
        raise NotFound(f"there is no domain {name}", hint=f"That of machine {name} is {meant}.")
    return name


_ACTS = (
    ("shutdown", "ask the guest to power off"),
    ("reboot", "ask the guest to reboot, and reset it if it doesn't"),
    ("destroy", "end the guest at once"),
    ("pause", "let the guest stand still"),
    ("unpause", "let a guest that stands still go on"),
)
_TABLES = (
    ("list", "domains that run here: memory in MiB, time on CPUs in seconds"),
    ("vcpu-list", "their virtual CPUs"),
    ("uptime", "how long they have been running"),
    ("sched-credit2", "their weights and caps; Xen's alone"),
)


CONFIG = Argument("config", "a file, or a name in /etc/xen", metavar="CONFIG", sample="invirt-database")
VARIABLES = Argument(
    "variables", "words of xl.cfg(5), or variables in the file", metavar="KEY=VALUE", several=True,
    required=False, sample="machine_name=inode",
)  # fmt: skip
CONSOLE = Flag("console", "join its console then", spelled="-c --console")
DOMAIN = Argument("domain", "the domain: d_NAME of the machine NAME", domain_name, "DOMAIN", sample="d_inode")
FILE = Argument("file", "where its memory is kept", _file, "FILE", sample="/root/own.saved")
OWN = replace(DOMAIN, help="a domain that is no machine's", sample="own")
COUNT = Argument("count", "CPUs", lambda text: validate.count(text, 1, 512), "COUNT", sample="2")
HOST = Argument("host", "the other host", validate.host_name, "HOST", sample="host2")
LIVE = Flag("live", "while it runs, which is so anyway where it can be", spelled="-l --live")
CHECKPOINT = Flag("checkpoint", "let it run on", spelled="-c --checkpoint")
PAUSED = Flag("paused", "let it stand still yet", spelled="-p --paused")
THESE = replace(DOMAIN, name="domains", help="these alone", several=True, required=False)
VERBS = (
    Verb("create", "boot a domain", create, (CONSOLE, CONFIG, VARIABLES), changes=True,
         example="-c invirt-database machine_name=inode"),
    *(Verb(name, summary, _table(name), (THESE,), shown=show.text) for name, summary in _TABLES),
    Verb("info", "this host", _table("info"), shown=show.text),
    Verb("dmesg", "what Xen has said since its boot", _table("dmesg"), shown=show.text),
    Verb("block-list", "a domain's disks, as Xen has them", block_list, (DOMAIN,), shown=show.text),
    Verb("console", "join the guest's serial console; ^] leaves", console, (DOMAIN,), shown=None),
    *(Verb(name, summary, _act(name), (DOMAIN,), changes=True) for name, summary in _ACTS),
    Verb("vcpu-set", "let a running guest have fewer CPUs, or those again (Xen)", verbs.vcpu_set,
         (DOMAIN, COUNT), changes=True),
    Verb("migrate", "move a domain to another host", verbs.migrate, (DOMAIN, HOST, LIVE), changes=True),
    Verb("save", "write a domain's memory down, and end it (Xen)", verbs.save, (CHECKPOINT, OWN, FILE),
         changes=True),
    Verb("restore", "let a domain go on that was saved (Xen)", verbs.restore, (PAUSED, FILE), changes=True),
    Verb("top", "who uses how much, all the time; q leaves", verbs.top, shown=None),
)  # fmt: skip
COMMAND = Command(
    name="xm",
    section=8,
    summary="domains of this host",
    description="The 2008 command on the hypervisor that invirt.yaml names. CONFIG is a Python file:\n"
    "it sees each KEY as a variable, and what it sets are the words of xl.cfg(5). A KEY that is such a\n"
    "word counts more than the file's. What the hypervisor can't do is refused before anything starts.",
    files={
        **SITE,
        "/etc/xen/invirt-database": "a domain's configuration, read from the database",
        "/var/lib/invirt/domains": "what runs here, kept as root alone may read it",
    },
    example="xm create -c invirt-database machine_name=inode",
    verbs=VERBS,
)
