"""The verbs that only look: list, show, quota show, operations, audit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from invirt import config
from invirt.base import tables, validate
from invirt.base.cli import Argument, Facts, Flag, Found, Option, Table, Verb, Who
from invirt.base.cli.show import words
from invirt.base.names import MachineName
from invirt.remote import access, apart, handing, installs, states
from invirt.remote.actor import Actor
from invirt.remote.session import transaction
from invirt.remote.states import Machine
from invirt.remote.verbs import NAME

NEWEST = 20  # operations that are shown
AUDITED = 50  # rows of the audit that are shown
AUDIT = """
SELECT at, principal, via, address, command, arguments, outcome, message, administrator
FROM audit WHERE machine_id = %s ORDER BY audit_id DESC LIMIT %s
"""

QUOTA = """
SELECT q.* FROM owner_quotas q JOIN owner_access x USING (owner_id)
WHERE x.principal = %(who)s AND (%(owner)s IS NULL AND x.role = 'owner' OR q.name = %(owner)s)
ORDER BY q.name
"""
RESOURCES = ("machines", "running", "memory", "disk", "cpus", "addresses")
# What one did oneself stays to be seen; beyond that a name is that of a machine which one may see now.
OPERATIONS = """
WITH mine AS (SELECT DISTINCT machine_id FROM access
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


def _disks(machine: Machine) -> str:
    return ", ".join(f"{name} {size} GiB" for name, size in machine["disks"].items())


def _disks_and_pools(machine: Machine) -> str:
    pools = machine["pools"]
    return ", ".join(f"{name} {size} GiB in {pools[name]}" for name, size in machine["disks"].items())


def _both(nic: dict[str, Any]) -> str:
    return " and ".join(address for address in (nic["ip"], nic["ip6"]) if address)


def _addresses(machine: Machine) -> str:
    return ", ".join(filter(None, map(_both, machine["nics"])))


MACHINES = Table(
    {
        "NAME": "name",
        "STATE": states.in_words,
        "HOST": "host",
        "MEMORY": lambda m: f"{m['memory']} MiB",
        "DISKS": _disks,
        "ADDRESS": _addresses,
    },
    empty="You have no machines; machine create NAME makes one.",
    inside="machines",
)


def list_machines(actor: Actor, ask: bool = False) -> Found:
    """All machines that the actor may control, and which hosts are silent."""
    with transaction() as cursor:
        machines = states.describe(cursor, access.mine(cursor, actor.principal))
    silent = states.add_states(machines, ask=ask)
    notes = [*states.told(silent), *states.befallen(machines)]
    return Found({"machines": machines, "silent_hosts": silent}, notes)


def list_all(actor: Actor, ask: bool = False) -> dict[str, Any]:
    """Everyone's machines, and which hosts are silent."""
    with transaction() as cursor:
        machines = states.describe(cursor, access.everyones(cursor))
    return {"machines": machines, "silent_hosts": states.add_states(machines, ask=ask)}


ALARMS = """
SELECT name || ' is said to run on ' || array_to_string(hosts, ' and on ') AS told FROM claimed_twice
UNION ALL SELECT h.name || ' runs guests that have no reservation there: ' || strangers
    FROM host_signs JOIN hosts h USING (host_id) WHERE strangers > 0
ORDER BY told
"""


def alarms() -> list[str]:
    """What hosts tell that can't be right; nothing is decided by it."""
    with transaction() as cursor:
        cursor.execute(ALARMS)
        return [row.told for row in cursor.fetchall()]


def _system(machine: Machine) -> str:
    """What an installer has put on it."""
    if not machine["system"]:
        return ""
    return machine["system"] if machine["installed_at"] else f"{machine['system']}, half installed"


def _nics(machine: Machine) -> str:
    return ", ".join(f"{_both(nic) or 'no address'} ({nic['mac_addr']})" for nic in machine["nics"])


FACTS = Facts(
    {
        "name": "name",
        "owner": "owner",
        "offered to": "offered_to",
        "state": states.in_words,
        "since": "since",
        "off because": "why_off",
        "what befell it": "befell",
        "host": "host",
        "type": "type",
        "system": _system,
        "CD": "cdrom",
        "ssh": lambda m: ", ".join(f"{kind} {key}" for kind, key in m.get("host_keys", {}).items()),
        "memory": lambda m: f"{m['memory']} MiB",
        "CPUs": "cpus",
        "disks": _disks_and_pools,
        "address": _nics,
        "description": "description",
        "allowed": lambda m: ", ".join(m.get("principals", ())),
        "autostart": lambda m: "yes" if m["autostart"] else "no",
        "priority": "priority",
        "kept apart from": lambda m: ", ".join(m.get("apart", ())),
        "made": "created_at",
    }
)


def show(actor: Actor, name: MachineName) -> Found:
    """All about a machine, and who may control it."""
    with transaction() as cursor:
        row = access.require(cursor, actor.principal, name)
        machines = states.describe(cursor, [row])
        machines[0]["principals"] = access.acl(cursor, row.machine_id)
        machines[0]["host_keys"] = installs.host_keys(cursor, row.machine_id)
        if set(row.roles) - {"user"}:  # whoever is let in to one need not know of the others
            machines[0]["offered_to"] = handing.offered_to(cursor, row.machine_id)
            machines[0]["apart"] = apart.names(cursor, row.machine_id)
    return Found(machines[0], states.told(states.add_states(machines)))


def _default_quota(principal: str) -> dict[str, Any]:
    """What the actor will have at the first machine."""
    allowed = {name: getattr(config.quota, name) for name in RESOURCES}
    for name in ("running", "cpus", "addresses"):
        allowed[name] = allowed[name] or None  # no bound
    owner = principal.removesuffix(f"@{config.site.realm}")
    return {"owner": owner, "used": dict.fromkeys(allowed, 0), "trash": 0, "quota": allowed}


def _quota(row: Any) -> dict[str, Any]:
    """amount null: there is no bound."""
    used = {name: getattr(row, f"used_{name}") for name in RESOURCES}
    return {
        "owner": row.name,
        "used": used,
        "trash": row.trash,
        "quota": {name: getattr(row, name) for name in RESOURCES},
    }


def quota(actor: Actor, owner: str | None) -> list[dict[str, Any]]:
    """What the actor's owners use and may use; raises NotFound for others' owners.

    What is in the trash counts as disk, but is shown apart.
    """
    with transaction() as cursor:
        cursor.execute(QUOTA, {"who": actor.principal, "owner": owner})
        owners = [_quota(row) for row in cursor.fetchall()]
    if not owners and owner:
        raise access.no_owner(owner)
    return owners or [_default_quota(actor.principal)]


def _of(what: str, unit: str) -> Callable[[dict[str, Any]], str]:
    def told(owner: dict[str, Any]) -> str:
        used, most = owner["used"][what], owner["quota"][what]
        return f"{used}{unit}" if most is None else f"{used} of {most}{unit}"

    return told


QUOTAS = Table(
    {
        "OWNER": "owner",
        "MACHINES": _of("machines", ""),
        "RUNNING": _of("running", ""),
        "MEMORY": _of("memory", " MiB"),
        "DISK": _of("disk", " GiB"),
        "CPUS": _of("cpus", ""),
        "ADDRESSES": _of("addresses", ""),
        "IN THE TRASH": lambda o: f"{o['trash']} GiB",
    }
)


def _operation(row: Any) -> dict[str, Any]:
    known: dict[str, Any] = row._asdict()
    times = {name: known[name] and known[name].isoformat(timespec="seconds") for name in _TIMES}
    return known | times


_TIMES = ("created_at", "finished_at")


def _who(operation: dict[str, Any]) -> str:
    """Who asked for it, and whether it took an administrator's right."""
    return f"{operation['principal']}{', an administrator' if operation['administrator'] else ''}"


def operations(actor: Actor, name: MachineName | None, follow: int | None) -> list[dict[str, Any]] | Found:
    """The newest operations on the actor's machines: how far they are, why they failed; or one as it goes."""
    if follow is not None:
        from invirt.remote import following  # not for all who look

        return Found(following.follow(actor, follow), shown=words)
    with transaction() as cursor:
        cursor.execute(OPERATIONS, {"who": actor.principal, "name": name, "newest": NEWEST})
        return [_operation(row) for row in cursor.fetchall()]


_STEPS = Table(
    {
        "NUMBER": "operation_id",
        "BEGUN": "created_at",
        "WHAT": "kind",
        "MACHINE": "machine_name",
        "BY": _who,
        "STATE": "state",
        "STEPS": lambda o: f"{o['done']}/{o['steps']}",
        "": lambda o: o["error"] or (o["at"] and f"at: {o['at']}") or " ",
    }
)


def audit(actor: Actor, name: MachineName) -> list[dict[str, Any]]:
    """What was asked of a machine of the actor's, by whom and from where, the newest first."""
    with transaction() as cursor:
        machine = access.require_owner(cursor, actor.principal, name).machine_id
        cursor.execute(AUDIT, (machine, AUDITED))
        return [row._asdict() | {"at": row.at.isoformat(timespec="seconds")} for row in cursor.fetchall()]


def operations_table(found: list[dict[str, Any]]) -> str:
    """Their table; its headings alone, if there are none."""
    return _STEPS(found) or tables.table(list(_STEPS.columns or ()), [])


AUDIT_TABLE = Table(
    {
        "WHEN": "at",
        "WHO": _who,
        "FROM": lambda row: row["address"] or " ",
        "WHAT": lambda row: f"{row['command']} {row['arguments']}",
        "HOW": lambda row: ": ".join(filter(None, (row["outcome"], row["message"]))),
    },
    empty="Nothing was asked of it yet.",
)
OWNER = Argument(
    "owner", "default: all of yours", validate.owner_name, "OWNER", required=False, sample="alice"
)
ASK = Flag("ask", "ask the hosts now, instead of what they told last")
FOLLOW = Option("follow", "the steps of one of them, as they come", validate.token, "NUMBER")
ONE = replace(NAME, help="of this machine alone", required=False)
VERBS = (
    Verb("list", "your machines: state, host, memory, disks, address", list_machines, (ASK,), who=Who.ANYONE,
         shown=MACHINES),
    Verb("show", "all about one machine, and who may control it", show, (NAME,), who=Who.USER, shown=FACTS),
    Verb("operations", "what is or was done to your machines, and why it failed", operations, (ONE, FOLLOW),
         who=Who.ANYONE, shown=operations_table, example="remus"),
    Verb("audit", "who asked what of a machine, when, from where, and how it ended", audit, (NAME,),
         who=Who.OWNER, shown=AUDIT_TABLE),
)  # fmt: skip
LISTVMS = Verb("listvms", "everyone's machines, as JSON", list_all, who=Who.WEB, shown=tables.as_json)
