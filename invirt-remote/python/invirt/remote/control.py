"""The verbs that switch a machine: `control NAME VERB`, and `web control USER NAME VERB`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from invirt.base.cli import Found, Verb, Who
from invirt.base.names import MachineName
from invirt.remote import access, installs, states
from invirt.remote.actor import Actor
from invirt.remote.session import transaction
from invirt.remote.submission import submit, warnings
from invirt.remote.verbs import waitable


def require(cursor: Any, actor: Actor, name: MachineName) -> Any:
    """The machine's row, if actor may control it; raises NotFound."""
    if actor.administrator:
        return access.find(cursor, name)
    return access.require(cursor, actor.principal, name)


def switch(operation: str, done: str) -> Callable[[Actor, MachineName], Found]:
    """A verb that is an operation on the machine; done: what is said when it is."""

    def run(actor: Actor, name: MachineName) -> Found:
        with transaction() as cursor:
            require(cursor, actor, name)
        return Found(f"{name} {done}", warnings(submit(operation, actor, name)))

    return run


def rescue(actor: Actor, name: MachineName) -> Found:
    """Boot a system for repairs, whose shell on the console is root's, with the machine's disks."""
    with transaction() as cursor:
        if not actor.administrator:
            access.require_owner(cursor, actor.principal, name)
    done = submit("rescue", actor, name)
    return Found(
        f"{name} is to be rescued: its console has a shell; control {name} reboot ends that", warnings(done)
    )


def status(actor: Actor, name: MachineName) -> Found:
    """Whether the machine runs, and where."""
    with transaction() as cursor:
        machines = states.describe(cursor, [require(cursor, actor, name)])
    silent = states.add_states(machines)
    return Found(machines[0], states.told(silent))


def _in_words(machine: states.Machine) -> str:
    where = f" on {machine['host']}" if machine["host"] else ""
    why = machine["befell"] or (machine["why_off"] if machine["state"] == "off" else "")
    return f"{machine['name']} is {states.in_words(machine)}{where}{f': {why}' if why else ''}\n"


def _switch(name: str, operation: str, done: str, summary: str) -> Verb:
    return waitable(Verb(name, summary, switch(operation, done), who=Who.USER, changes=True))


VERBS = (
    _switch("create", "boot", "is running", "boot it on the host with the least memory in use"),
    Verb("status", "whether it runs, and where", status, who=Who.USER, shown=_in_words),
    _switch("reboot", "reboot", "reboots", "ask the guest to reboot; reset it if it doesn't"),
    _switch("shutdown", "shutdown", "is off", "ask the guest to shut down, and wait until it has"),
    _switch("destroy", "destroy", "is off", "switch it off at once"),
    installs.INSTALL,
    waitable(
        Verb("rescue", "boot a system for repairs, with its disks; reboot ends that", rescue, who=Who.OWNER,
             changes=True)
    ),
)  # fmt: skip
