"""The verbs that switch a machine: `control NAME VERB`, and `web control USER NAME VERB`."""

from __future__ import annotations

import argparse
from typing import Any

from invirt.base.tables import as_json
from invirt.remote import access, states
from invirt.remote.actor import Actor
from invirt.remote.listing import json_option
from invirt.remote.session import transaction
from invirt.remote.submission import submit
from invirt.remote.verbs import Verb, nothing

Run = Any  # Callable[[Actor, argparse.Namespace], None]


def require(cursor: Any, actor: Actor, name: str) -> Any:
    """The machine's row, if actor may control it; raises NotFound."""
    if actor.administrator:
        return access.find(cursor, name)
    return access.require(cursor, actor.principal, name)


def switch(operation: str, done: str) -> Run:
    """A verb that is an operation on the machine; done: what is said when it is."""

    def run(actor: Actor, arguments: argparse.Namespace) -> None:
        with transaction() as cursor:
            require(cursor, actor, arguments.name)
        submit(operation, actor, arguments.name)
        print(f"{arguments.name} {done}")

    return run


def status(actor: Actor, arguments: argparse.Namespace) -> None:
    """Print whether the machine runs, and where."""
    with transaction() as cursor:
        machines = states.describe(cursor, [require(cursor, actor, arguments.name)])
    silent = states.add_states(machines)
    machine = machines[0]
    where = f" on {machine['host']}" if machine["host"] else ""
    why = f": {machine['why_off']}" if machine["state"] == "off" and machine["why_off"] else ""
    words = f"{machine['name']} is {machine['state']}{where}{why}\n"
    print(as_json(machine) if arguments.json else words, end="")
    states.tell(silent)


def _switch(name: str, operation: str, done: str, summary: str) -> Verb:
    return Verb(name, summary, switch(operation, done), nothing, changes=True)


VERBS = (
    _switch("create", "boot", "is running", "boot it on the host with the least memory in use"),
    Verb("status", "whether it runs, and where", status, json_option),
    _switch("reboot", "reboot", "reboots", "ask the guest to reboot; reset it if it doesn't"),
    _switch("shutdown", "shutdown", "is off", "ask the guest to shut down, and wait until it has"),
    _switch("destroy", "destroy", "is off", "switch it off at once"),
)
