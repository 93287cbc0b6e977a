"""The pages of the site's administrators: everyone's machines, hosts, operations, owners and the rest.

What they change there is `admin …` of remctl, said in their name; remote decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from invirt.base.errors import InvirtError, NotFound
from invirt.web import forms, operations, quotas, saying
from invirt.web.answers import Answer, Page, Visit, status
from invirt.web.reading import rows

ROWS = 50  # of a page
AGAIN = 5  # seconds until it is looked again how hosts' upkeep goes


@dataclass(frozen=True)
class List:
    """A table of the site.

    view: what it reads.  columns: what is shown, by heading.  searched: the columns in
    which words are looked for.  filters: columns that can be held to one value.  order:
    the column that it is sorted by at first; all can be chosen; -: the last first.
    verbs: what can be done there, and what the form says.
    """

    view: str
    columns: Mapping[str, str]
    searched: tuple[str, ...]
    order: str
    filters: tuple[str, ...] = ()
    also: str = ""
    verbs: Mapping[str, str] = field(default_factory=dict)


MENDING = {
    "admin operations retry": "Try it again now",
    "admin operations undo": "Undo it",
    "admin operations resolve": "Take it as done or undone on the hosts by hand",
}
MOVING = {
    "admin machine migrate": "Move it to another host",
    "admin machine set": "Say whether it comes back before others",
}
MACHINES = f"web.machines LEFT JOIN {operations.MOVES} USING (machine_id)"
UPKEEP = """
SELECT * FROM web.upkeep WHERE step <> 'done' OR step_at > now() - interval '1 day' ORDER BY begun_at, host
"""
LISTS = {
    "machines": List(
        MACHINES,
        {"Name": "name", "State": "state", "Owner": "owner", "Host": "host", "Memory": "memory",
         "CPUs": "cpus", "Type": "type", "Priority": "priority", "Made": "created_at"},
        ("name", "owner", "host", "description"), "name", ("state", "host", "owner"),
        "seen, silence, moving, move",
        {"admin machine migrate": "Move a machine to another host",
         "admin machine set": "Say which machines come back first"},
    ),
    "hosts": List(
        "web.hosts",
        {"Name": "name", "Memory": "memory", "Promised": "promised", "Machines": "machines",
         "Load": "load", "Hypervisor": "hypervisor", "Guests": "accelerator",
         "Enabled": "enabled", "Lost": "lost_at", "Last sign": "silence"},
        ("name", "hostname"), "name", ("enabled",), "lost_by",
        {"admin host set": "Change a host",
         "admin host drain": "Empty a host: move away what runs there",
         "admin host update": "Upgrade hosts, one after the other",
         "admin host lost": "Declare a host dead that is certain to be off, and boot its machines elsewhere",
         "admin host rejoin": "Take a host that was lost, or disabled, back into service",
         "admin machine migrate": "Move a machine to another host"},
    ),
    "operations": List(
        "web.operations",
        {"Number": "operation_id", "What": "kind", "Machine": "machine_name", "By": "principal",
         "State": "state", "Begun": "created_at", "Why": "error"},
        ("machine_name", "principal", "kind"), "-operation_id", ("state", "kind"), "machine_id", MENDING,
    ),
    "owners": List(
        "web.quotas",
        {"Name": "name", "Machines": "used_machines", "Running": "used_running", "Memory": "used_memory",
         "Disk": "used_disk", "Trash": "trash", "CPUs": "used_cpus", "Addresses": "used_addresses"},
        ("name",), "name", (), "machines, memory, disk, running, cpus, addresses",
        {"admin owner add": "Add an owner", "admin quota set": "Change a quota",
         "admin limit set": "Change what machines are held to while they run",
         "admin member add": "Let somebody use all machines of an owner",
         "admin member remove": "Let somebody use an owner's machines no more"},
    ),
    "requests": List(
        "web.quota_requests",
        {"Number": "request_id", "Owner": "name", "What": "resource", "Amount": "amount", "Has": "has",
         "By": "principal", "Why": "why", "Asked": "at", "State": "state"},
        ("name", "principal", "why"), "-request_id", ("state",), "decided_by, answer",
        {"admin quota grant": "Grant a larger quota", "admin quota refuse": "Refuse a larger quota"},
    ),
    "ranges": List(
        "web.ranges",
        {"First": "first", "Last": "last", "Gateway": "gateway", "Prefix": "prefix", "Size": "size",
         "Used": "used"},
        ("first", "last"), "range_id", (), "range_id",
        {"admin range add": "Add addresses of a network that has a range",
         "admin range remove": "Remove a range of which none is used"},
    ),
    "types": List(
        "web.types",
        {"Name": "name", "Description": "description", "Kind": "virt", "Kernel": "kernel", "Needs": "needs"},
        ("name", "description"), "name", (), "",
        {"admin type add": "Add a type that boots from its disk", "admin type set": "Change a type",
         "admin type remove": "Remove a type that no machine is of"},
    ),
    "pools": List(
        "web.pools",
        {"Name": "name", "Driver": "driver", "Place": "place", "Hosts": "hosts", "Disks": "disks",
         "Size": "size", "Trash": "trash"},
        ("name", "place"), "pool_id", (), "everywhere",
        {"admin pool hosts": "Change which hosts see a pool"},
    ),
    "audit": List(
        "web.audit",
        {"When": "at", "Who": "principal", "Command": "command", "Words": "arguments",
         "Machine": "machine_name", "Outcome": "outcome", "Message": "message", "From": "address"},
        ("principal", "arguments", "machine_name"), "-audit_id", ("outcome",), "audit_id, via",
    ),
}  # fmt: skip


def show(visit: Visit, name: str = "machines", error: InvirtError | None = None) -> Answer:
    """One of the tables: what is searched for, filtered, sorted and paged by the database.

    error: what was wrong with what a form asked for.
    """
    table = LISTS[name]
    sql, asked, shown = query(table, {} if error else visit.values)
    found = rows(sql, asked)
    alarms = (
        rows("SELECT name, hosts FROM claimed_twice ORDER BY name") if name in ("machines", "hosts") else []
    )
    losses = _told(visit, "admin host losses") if name == "hosts" else None
    upkeep = rows(UPKEEP) if name == "hosts" else []
    if isinstance(losses, list):
        losses = [host for host in losses if host["without_room"]]
    values = {
        "losses": losses,
        "upkeep": upkeep,
        # Asked for by a link: on a large site it takes its time.
        "moves": _told(visit, "admin host balance") if name == "hosts" and "moves" in visit.values else None,
        "name": name,
        "table": table,
        "rows": found[:ROWS],
        "more": len(found) > ROWS,
        "alarms": alarms,
        "amount": quotas.amount,
    }
    given = {"forms": forms.offered() if table.verbs else {}, "typed": visit.values, "error": error}
    page = Page("site", {**values, **shown, **given, "lists": tuple(LISTS)}, status(error) if error else 200)
    if any(one.step != "done" for one in upkeep):
        return replace(page, script="again", again=AGAIN)
    return page


def _told(visit: Visit, verb: str) -> list[dict[str, Any]] | str:
    """What remote finds of the hosts; or why it doesn't say."""
    try:
        found: list[dict[str, Any]] = saying.say(*forms.form(verb).said({"user": visit.who}))
    except InvirtError as error:
        return error.message
    return found


def change(visit: Visit, name: str) -> Answer:
    """Do what one of the table's forms asks for."""
    verb = visit.values.get("verb", "")
    try:
        if verb not in LISTS[name].verbs:
            raise NotFound(f"there is no {verb[:40]!a}")
        found = saying.say(*forms.form(verb).said({**visit.values, "user": visit.who}))
    except InvirtError as error:
        return show(visit, name, error)
    return saying.after(found, f"/site/{name}", saying.told(found) or "It is done.")


def query(table: List, values: Mapping[str, str]) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """SQL, its values, and what the page says of them.  Only names of the table itself become SQL."""
    words = values.get("words", "").strip()[:100]
    where, asked = ["true"], dict[str, Any]()
    if words:
        where.append(f"concat_ws(' ', {', '.join(table.searched)}) ILIKE %(words)s")
        asked["words"] = f"%{words.translate({ord(letter): chr(92) + letter for letter in '%_' + chr(92)})}%"
    kept = {name: values[name][:300] for name in table.filters if values.get(name)}
    for name, value in kept.items():
        where.append(f"{name}::text = %({name})s")
        asked[name] = value
    order = _order(table, values.get("order", ""))
    page = int(values["page"]) if values.get("page", "").isascii() and values.get("page", "").isdigit() else 1
    page = min(max(page, 1), 10_000)
    columns = ", ".join(filter(None, (", ".join(table.columns.values()), table.also)))
    down = "DESC NULLS LAST" if order.startswith("-") else "ASC"
    sql = (
        f"SELECT {columns} FROM {table.view} WHERE {' AND '.join(where)}"
        f" ORDER BY {order.lstrip('-')} {down} LIMIT {ROWS + 1} OFFSET {(page - 1) * ROWS}"
    )
    return sql, asked, {"words": words, "kept": kept, "order": order, "page": page}


def _order(table: List, wanted: str) -> str:
    return wanted if wanted.removeprefix("-") in table.columns.values() else table.order
