"""remctl HOST domain …: the guests of this host, for remote."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from invirt.base import tables, validate
from invirt.base.cli import Argument, Command, Verb, Who
from invirt.base.names import MachineName, domain_of, machine_of
from invirt.host import installing, jobs, loading, reservation, tokens, xmconfig
from invirt.host.moving import papers, source, target


def create(name: MachineName, token: int) -> None:
    """Boot the machine as the database describes it; Denied where nothing is reserved for it."""
    driver = loading.hypervisor()
    with tokens.claimed(token, name):
        reservation.require(domain_of(name))
        file = xmconfig.find("invirt-database")
        driver.create(xmconfig.evaluate(file, {"machine_name": name}))


def shutdown(name: MachineName, token: int) -> None:
    """Ask the guest to power off."""
    driver = loading.hypervisor()
    with tokens.claimed(token, name):
        driver.shutdown(domain_of(name))


def reboot(name: MachineName, token: int) -> None:
    """Ask the guest to reboot, or reset it."""
    driver = loading.hypervisor()
    with tokens.claimed(token, name):
        driver.reboot(domain_of(name))


def destroy(name: MachineName, token: int) -> None:
    """End the guest at once."""
    driver = loading.hypervisor()
    with tokens.claimed(token, name):
        driver.destroy(domain_of(name))
        papers.forget(name)


def eject(name: MachineName, token: int) -> None:
    """Take the CD out of the guest's drive."""
    driver = loading.hypervisor()
    with tokens.claimed(token, name):
        driver.eject(domain_of(name))


def receive(name: MachineName, host: str, token: int) -> None:
    """Be ready for the machine's guest, which may come from that host."""
    with tokens.claimed(token, name):
        target.expect(name, host)


def send(name: MachineName, host: str, within: int, token: int) -> None:
    """Move the running guest to that host, which is ready for it; else it goes on here."""
    with tokens.claimed(token, name):
        source.send(name, host, within, jobs.reporter(token))


def keep(name: MachineName, token: int) -> None:
    """Have a guest go on here that was to move."""
    with tokens.claimed(token, name):
        source.keep(name)


def arrive(name: MachineName, token: int) -> None:
    """Let a guest run that has come."""
    with tokens.claimed(token, name):
        target.arrive(name)


def moved(name: MachineName) -> dict[str, Any]:
    """What became of the guest's move, as this host has it."""
    paper = papers.read(name)
    return {"name": name, "move": paper.state if paper else None, "peer": paper.peer if paper else None}


def installed(name: MachineName) -> dict[str, Any]:
    """How far the installer has come in the guest that was booted here last, and whether that still runs."""
    driver, domain = loading.hypervisor(), domain_of(name)
    running = driver.running(domain)  # first: what it says last it says before its end
    return {"name": name, "running": running, **asdict(installing.said(driver.said(domain)))}


def fence(name: MachineName, token: int) -> None:
    """Do nothing, but remember the token: no older command is obeyed any more."""
    with tokens.claimed(token, name):
        pass


def status(name: MachineName) -> dict[str, Any]:
    """Whether the guest runs here, and what this host can: who asks is about to choose one."""
    domain = domain_of(name)
    runs = loading.hypervisor().running(domain)
    state = "running" if runs else "off"
    return {"name": name, "state": state, **loading.about(), **loading.travels(domain, runs)}


def show_list() -> list[dict[str, object]]:
    """All machines that run here, and why those ended that ran here last and are off."""
    driver = loading.hypervisor()
    found: list[dict[str, object]] = [
        {"name": name, "state": "running", "memory": domain.memory, "cpus": domain.vcpus}
        for domain in driver.domains()
        if (name := machine_of(domain.name))
    ]
    running = {row["name"] for row in found}
    return found + [
        {"name": name, "state": "off", "ended": why}
        for domain, why in sorted(driver.ended().items())
        if (name := machine_of(domain)) and name not in running
    ]


NAME = Argument("name", "the machine", validate.machine_name, "NAME", sample="inode")
HOST = Argument("host", "the other host", validate.host_name, "HOST", sample="host2.example.org")
WITHIN = Argument(
    "within", "seconds that it may take", lambda text: validate.count(text, 1, 3600), "SECONDS", sample="300"
)
TOKEN = Argument("token", "higher than all before it", validate.token, "TOKEN", sample="7")
SUBJECT = replace(NAME, help="the machine, or trash.N", type=tokens.subject)


def _verb(name: str, summary: str, run: Any, *arguments: Argument) -> Verb:
    return Verb(name, summary, run, arguments, who=Who.REMOTE, changes=True)


def _question(name: str, summary: str, run: Any, *arguments: Argument) -> Verb:
    return Verb(name, summary, run, arguments, who=Who.REMOTE, shown=tables.one_line_json)


VERBS = (
    _verb("create", "boot a machine as the database describes it", create, NAME, TOKEN),
    _verb("shutdown", "ask a guest to power off, and don't wait", shutdown, NAME, TOKEN),
    _verb("reboot", "ask a guest to reboot, and reset it if it doesn't", reboot, NAME, TOKEN),
    _verb("destroy", "end a guest at once", destroy, NAME, TOKEN),
    _verb("eject", "take the CD out of a guest's drive", eject, NAME, TOKEN),
    _verb("receive", "be ready for a guest from another host", receive, NAME, HOST, TOKEN),
    _verb("send", "move a guest to a host that is ready for it", send, NAME, HOST, WITHIN, TOKEN),
    _verb("keep", "have a guest go on here that was to move", keep, NAME, TOKEN),
    _verb("arrive", "let a guest run that has been handed over", arrive, NAME, TOKEN),
    _verb(
        "fence",
        "do nothing, and refuse older commands for a machine, or trash.N, from now on",
        fence,
        SUBJECT,
        TOKEN,
    ),
    _question("status", "whether a guest runs here, and what this host can", status, NAME),
    _question("moved", "what became of a guest's move", moved, NAME),
    _question("installed", "how far a guest's installer has come", installed, NAME),
    _question("list", "the guests that run here", show_list),
)
COMMAND = Command(
    name="invirt-host-domain",
    section=8,
    summary="the guests of this host",
    description="Run by remctld for the remote server as `domain`. TOKEN is a new, higher one with each "
    "command; one that is not higher than all seen for NAME is refused. With a new one, all verbs are safe "
    "to repeat.",
    example="remctl host1.example.org domain status inode",
    verbs=VERBS,
    remctl="domain",
)
