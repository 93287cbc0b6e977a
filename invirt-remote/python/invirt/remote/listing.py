"""The verbs that only look: list, show, quota, operations; as tables, or --json."""

from __future__ import annotations

import argparse
from typing import Any

from invirt import config
from invirt.base import validate
from invirt.base.tables import as_json, facts, table
from invirt.remote import access, states
from invirt.remote.actor import Actor
from invirt.remote.session import transaction
from invirt.remote.states import Machine
from invirt.remote.verbs import Verb, name_only, nothing

NEWEST = 20  # operations that are shown

QUOTA = """
SELECT o.name, o.memory, o.disk, o.machines, count(m.machine_id) AS used_machines,
    coalesce(sum(c.memory), 0)::bigint AS used_memory,
    coalesce(sum((SELECT sum(d.size) FROM disks d WHERE d.machine_id = m.machine_id)), 0)::bigint
        AS used_disk,
    (SELECT coalesce(sum(size), 0) FROM trash JOIN trash_disks USING (trash_id)
        WHERE owner_id = o.owner_id AND taken IS DISTINCT FROM 'undelete')::bigint AS trash
FROM owners o JOIN owner_access x USING (owner_id) LEFT JOIN machines m USING (owner_id)
    LEFT JOIN machine_memory c USING (machine_id)
WHERE x.principal = %(who)s AND (%(owner)s IS NULL AND x.role = 'owner' OR o.name = %(owner)s)
GROUP BY o.owner_id, x.role ORDER BY o.name
"""
# What one did oneself stays to be seen; beyond that a name is that of a machine which one may see now.
OPERATIONS = """
WITH mine AS (SELECT machine_id FROM access
    WHERE principal = %(who)s AND (role <> 'administrator' OR %(name)s IS NOT NULL))
SELECT operation_id, kind, machine_name, principal, via, administrator, state, error, created_at, finished_at,
    (SELECT count(*) FROM operation_steps s WHERE s.operation_id = o.operation_id) AS steps,
    (SELECT count(*) FROM operation_steps s
        WHERE s.operation_id = o.operation_id AND s.state = 'done') AS done,
    (SELECT s.name FROM operation_steps s WHERE s.operation_id = o.operation_id
        AND s.state IN ('doing', 'undoing') ORDER BY s.position LIMIT 1) AS at
FROM operations o
WHERE (principal = %(who)s OR machine_id IN (SELECT machine_id FROM mine))
    AND (%(name)s::text IS NULL OR machine_name = %(name)s
        OR machine_id = (SELECT machine_id FROM machines JOIN mine USING (machine_id) WHERE name = %(name)s))
ORDER BY operation_id DESC LIMIT %(newest)s
"""


def json_option(parser: argparse.ArgumentParser) -> None:
    """A verb whose only option is --json."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def _name_and_json(parser: argparse.ArgumentParser) -> None:
    name_only(parser)
    json_option(parser)


def _quota_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "owner", metavar="OWNER", nargs="?", type=validate.owner_name, help="default: all of yours"
    )
    json_option(parser)


def _operations_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name", metavar="NAME", nargs="?", type=validate.machine_name, help="of this machine alone"
    )
    json_option(parser)


def _disks(machine: Machine) -> str:
    return ", ".join(f"{name} {size} GiB" for name, size in machine["disks"].items())


def _both(nic: dict[str, Any]) -> str:
    return " and ".join(address for address in (nic["ip"], nic["ip6"]) if address)


def _addresses(machine: Machine) -> str:
    return ", ".join(filter(None, map(_both, machine["nics"])))


def print_machines(machines: list[Machine], silent: dict[str, str], *, json: bool) -> None:
    """The combined list, and which hosts didn't answer."""
    if json:
        print(as_json({"machines": machines, "silent_hosts": silent}), end="")
        return
    if not machines:
        print("You have no machines; machine create NAME makes one.")
        return
    headings = ("NAME", "STATE", "HOST", "MEMORY", "DISKS", "ADDRESS")
    rows = [
        (m["name"], m["state"], m["host"], f"{m['memory']} MiB", _disks(m), _addresses(m)) for m in machines
    ]
    print(table(headings, rows), end="")
    states.tell(silent)


def list_machines(actor: Actor, arguments: argparse.Namespace) -> None:
    """Print all machines that the actor may control."""
    with transaction() as cursor:
        machines = states.describe(cursor, access.mine(cursor, actor.principal))
    print_machines(machines, states.add_states(machines), json=arguments.json)


def list_all(actor: Actor, arguments: argparse.Namespace) -> None:
    """Print everyone's machines, as JSON."""
    with transaction() as cursor:
        machines = states.describe(cursor, access.everyones(cursor))
    print_machines(machines, states.add_states(machines), json=True)


def machine_facts(machine: Machine) -> str:
    """All that is known of a machine, a line each."""
    nics = ", ".join(f"{_both(nic) or 'no address'} ({nic['mac_addr']})" for nic in machine["nics"])
    known = {
        "name": machine["name"],
        "owner": machine["owner"],
        "state": machine["state"],
        "off because": machine["why_off"],
        "host": machine["host"],
        "type": machine["type"],
        "memory": f"{machine['memory']} MiB",
        "CPUs": machine["cpus"],
        "disks": _disks(machine),
        "address": nics,
        "description": machine["description"],
        "allowed": ", ".join(machine.get("principals", ())),
        "autostart": "yes" if machine["autostart"] else "no",
        "made": machine["created_at"],
    }
    return facts(known)


def show(actor: Actor, arguments: argparse.Namespace) -> None:
    """Print all about a machine, and who may control it."""
    with transaction() as cursor:
        row = access.require(cursor, actor.principal, arguments.name)
        machines = states.describe(cursor, [row])
        machines[0]["principals"] = access.acl(cursor, row.machine_id)
    silent = states.add_states(machines)
    print(as_json(machines[0]) if arguments.json else machine_facts(machines[0]), end="")
    states.tell(silent)


def _default_quota(principal: str) -> dict[str, Any]:
    """What the actor will have at the first machine."""
    quota = config.quota
    allowed = {"machines": quota.machines, "memory": quota.memory, "disk": quota.disk}
    owner = principal.removesuffix(f"@{config.site.realm}")
    return {"owner": owner, "used": dict.fromkeys(allowed, 0), "trash": 0, "quota": allowed}


def _quota(row: Any) -> dict[str, Any]:
    names = ("machines", "memory", "disk")
    used = {name: getattr(row, f"used_{name}") for name in names}
    return {
        "owner": row.name,
        "used": used,
        "trash": row.trash,
        "quota": {name: getattr(row, name) for name in names},
    }


def quota(actor: Actor, arguments: argparse.Namespace) -> None:
    """Print what the actor's owners use and may use; raises NotFound for others' owners.

    What is in the trash counts as disk, but is shown apart.
    """
    with transaction() as cursor:
        cursor.execute(QUOTA, {"who": actor.principal, "owner": arguments.owner})
        owners = [_quota(row) for row in cursor.fetchall()]
    if not owners and arguments.owner:
        raise access.no_owner(arguments.owner)
    owners = owners or [_default_quota(actor.principal)]
    if arguments.json:
        print(as_json(owners), end="")
        return
    rows = [
        [
            o["owner"],
            *(f"{o['used'][what]} of {o['quota'][what]}{unit}" for what, unit in _UNITS.items()),
            f"{o['trash']} GiB",
        ]
        for o in owners
    ]
    print(table(("OWNER", "MACHINES", "MEMORY", "DISK", "IN THE TRASH"), rows), end="")


_UNITS = {"machines": "", "memory": " MiB", "disk": " GiB"}


def _operation(row: Any) -> dict[str, Any]:
    known: dict[str, Any] = row._asdict()
    times = {name: known[name] and known[name].isoformat(timespec="seconds") for name in _TIMES}
    return known | times


_TIMES = ("created_at", "finished_at")


def _who(operation: dict[str, Any]) -> str:
    """Who asked for it, and whether it took an administrator's right."""
    return f"{operation['principal']}{', an administrator' if operation['administrator'] else ''}"


def operations(actor: Actor, arguments: argparse.Namespace) -> None:
    """Print the newest operations on the actor's machines: how far they are, why they failed."""
    with transaction() as cursor:
        values = {"who": actor.principal, "name": arguments.name, "newest": NEWEST}
        cursor.execute(OPERATIONS, values)
        found = [_operation(row) for row in cursor.fetchall()]
    if arguments.json:
        print(as_json(found), end="")
        return
    headings = ("NUMBER", "BEGUN", "WHAT", "MACHINE", "BY", "STATE", "STEPS", "")
    rows = [
        (o["operation_id"], o["created_at"], o["kind"], o["machine_name"], _who(o), o["state"],
         f"{o['done']}/{o['steps']}", o["error"] or (o["at"] and f"at: {o['at']}") or " ")
        for o in found
    ]  # fmt: skip
    print(table(headings, rows), end="")


VERBS = (
    Verb("list", "your machines: state, host, memory, disks, address", list_machines, json_option),
    Verb("show", "all about one machine, and who may control it", show, _name_and_json),
    Verb("quota", "what an owner uses and may use", quota, _quota_arguments),
    Verb("operations", "what is or was done to your machines, and why it failed", operations,
         _operations_arguments),
)  # fmt: skip
LISTVMS = Verb("listvms", "everyone's machines, as JSON", list_all, nothing, for_a_user=False)
