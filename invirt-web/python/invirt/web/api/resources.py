"""What the API tells: each read of views, as pages do; lists by the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from invirt.base import validate
from invirt.base.errors import BadInput, Denied, NotFound
from invirt.database.usage import PERIODS, SAMPLES
from invirt.web import site
from invirt.web.api.bearer import SEEN, Bearer, absent
from invirt.web.machines import DISKS, LIMITS, LOOKS, NICS, OWN, STEPS, WHO_ELSE
from invirt.web.operations import MAY_SEE, SEEN_OF_ALL, hidden
from invirt.web.reading import administers, one, rows

FEW, MOST = 50, 200  # rows of a page: where nothing is said, and at most
LONGEST, CURSOR = 100, 1000  # letters of a query's value: all together fit into a line that Apache takes
GREATEST = 2**63 - 1

_COLUMNS = """m.name, m.owner, m.type, m.memory, m.cpus, m.description, m.created_at, m.autostart, m.host,
    m.state, m.seen, m.since, m.why, m.why_off, m.silence, m.befell,
    ARRAY(SELECT n.ip FROM web.nics n WHERE n.machine_id = m.machine_id AND n.ip IS NOT NULL) AS addresses"""
MACHINES = f"SELECT {_COLUMNS} FROM web.machines m WHERE {SEEN} AND {OWN}"
MACHINE = f"""SELECT m.machine_id, {_COLUMNS}, ARRAY(SELECT role FROM access a WHERE
    a.machine_id = m.machine_id AND principal = %(who)s AND (role <> 'administrator' OR %(door)s)) AS roles
    FROM web.machines m WHERE name = %(name)s AND {SEEN}"""
_OPERATION = """operation_id, kind, machine_name, principal, via, administrator, state, error,
    created_at, finished_at FROM web.operations"""
OPERATIONS = f"SELECT {_OPERATION} WHERE {SEEN_OF_ALL}"
OPERATION = f"SELECT {_OPERATION} WHERE {MAY_SEE}"
TRASH = """SELECT trash_id, name, owner, disk, deleted_at, ends_at FROM web.trash WHERE owner_id IN
    (SELECT owner_id FROM owner_access WHERE principal = %(who)s AND role = 'owner')"""
QUOTAS = """SELECT name, machines, running, memory, disk, cpus, addresses, used_machines, used_running,
    used_memory, used_disk, used_cpus, used_addresses, trash FROM web.quotas
    WHERE owner_id IN (SELECT owner_id FROM owner_access WHERE principal = %(who)s AND role = 'owner')"""
REQUESTS = """SELECT request_id, name, resource, amount, has, principal, why, at, state, decided_by,
    decided_at, answer FROM web.quota_requests
    WHERE owner_id IN (SELECT owner_id FROM owner_access WHERE principal = %(who)s AND role = 'owner')"""
KEYS = "SELECT key FROM web.keys WHERE principal = %(who)s"
TOKENS = (
    """SELECT name, writes, scoped, machines, created_at, ends_at FROM tokens WHERE principal = %(who)s"""
)


@dataclass(frozen=True)
class Listing:
    """A list.  key: the column that it is sorted by, different in each row.  down: the last first.

    scoped: a token that is for some machines is told of these; else nothing.
    """

    summary: str
    query: str
    key: str
    down: bool = False
    scoped: bool = False


@dataclass(frozen=True)
class Page:
    """Rows, and the query of the next page, "" where there is none."""

    items: list[Mapping[str, Any]]
    following: str


LISTS = {
    "machines": Listing("your machines, and those that you were let in to", MACHINES, "name", scoped=True),
    "operations": Listing(
        "what you have asked for, and what was done to your machines", OPERATIONS, "operation_id", True, True
    ),
    "trash": Listing("what you deleted, until it ends", TRASH, "trash_id"),
    "quotas": Listing("what your owners use and may use", QUOTAS, "name"),
    "requests": Listing("what larger quotas were asked for, and the answers", REQUESTS, "request_id", True),
    "keys": Listing("your ssh keys", KEYS, "key"),
    "tokens": Listing("your tokens", TOKENS, "name"),
}


def listed(bearer: Bearer, name: str, given: Mapping[str, str]) -> Page:
    """A page of a list; raises BadInput, or Denied where the token is for other things."""
    listing = LISTS[name]
    if not listing.scoped:
        bearer.need_all()
    return _page(listing, listing.query, bearer.asked, given)


def history(bearer: Bearer, name: str, given: Mapping[str, str]) -> Page:
    """What was done to one machine; raises NotFound."""
    number = _machine(bearer, name).machine_id
    query = f"SELECT {_OPERATION} WHERE machine_id = %(machine)s"
    return _page(LISTS["operations"], query, {"machine": number}, given)


def machine(bearer: Bearer, name: str, given: Mapping[str, str]) -> Mapping[str, Any]:
    """All about one machine; raises NotFound."""
    _only(given)
    found = _machine(bearer, name)._asdict()
    asked = {"machine": found.pop("machine_id")}
    parts = {
        "disks": (DISKS, ("name", "size", "pool")),
        "nics": (NICS, ("mac_addr", "ip", "ip6", "hostname", "further_names")),
        "people": (WHO_ELSE, ("principal", "roles")),
        "limits": (LIMITS, ("resource", "amount", "standard", "most")),
    }
    more = {
        part: [{name: getattr(row, name) for name in names} for row in rows(query, asked)]
        for part, (query, names) in parts.items()
    }
    return {**found, **more}


def usage(bearer: Bearer, name: str, given: Mapping[str, str]) -> Mapping[str, Any]:
    """What one machine used, by samples of so many seconds; raises NotFound or BadInput."""
    _only(given, "of")
    number, of = _machine(bearer, name).machine_id, given.get("of", "day")
    if of not in PERIODS:
        raise BadInput(f"of can't be {of[:20]!a}", hint=f"There is: {', '.join(PERIODS)}.")
    period, step = PERIODS[of]
    found = rows(SAMPLES, {"machine": number, "period": period, "step": step})
    return {"seconds": step, "samples": [row._asdict() for row in found]}


def looks(bearer: Bearer, name: str, given: Mapping[str, str]) -> Mapping[str, Any]:
    """The links that share its console; raises NotFound, or Denied for who isn't its owner."""
    _only(given)
    bearer.need_door()
    found = _machine(bearer, name)
    if set(found.roles) <= {"user"}:
        raise Denied(f"only its owner may see who looks on at {name}", hint="You may control it and see it.")
    return {"looks": [row._asdict() for row in rows(LOOKS, {"machine": found.machine_id})]}


def operation(bearer: Bearer, number: int, given: Mapping[str, str]) -> Mapping[str, Any]:
    """One operation, and its steps; raises NotFound."""
    _only(given)
    found = one(OPERATION, {**bearer.asked, "number": number}) if number <= GREATEST else None
    if found is None:
        raise hidden(number)
    steps = rows(STEPS, {"number": number})
    return {
        **found._asdict(),
        "steps": [{"name": row.name, "state": row.state, "changed_at": row.changed_at} for row in steps],
        "events": f"/streams/operations/{number}",
    }


def of_site(bearer: Bearer, name: str, given: Mapping[str, str]) -> Page:
    """A page of a table of the site, for its administrators; raises NotFound."""
    bearer.need_door()
    if not administers(bearer.who):
        raise NotFound("there is no such table that you may see")
    table = site.LISTS[name]
    _only(given, "words", "order", "page", *table.filters)
    query, asked, shown = site.query(table, given)
    found = [row._asdict() for row in rows(query, asked)]
    more = {**given, "page": str(shown["page"] + 1)}
    return Page(found[: site.ROWS], urlencode(more) if len(found) > site.ROWS else "")


def _machine(bearer: Bearer, name: str) -> Any:
    good = validate.passes(name, validate.machine_name)
    found = one(MACHINE, {**bearer.asked, "name": name}) if good else None
    if found is None:
        raise absent(name)
    return found


def _page(listing: Listing, query: str, asked: Mapping[str, Any], given: Mapping[str, str]) -> Page:
    """From the row after the cursor on.  Only names of the table itself become SQL."""
    _only(given, "limit", "cursor")
    limit = validate.count(given.get("limit", str(FEW)), 1, MOST)
    numbered = listing.key.endswith("_id")
    after: Any = given.get("cursor")
    if numbered and after is not None:
        after = validate.count(after, 0, GREATEST)
    compared = f"{listing.key} {'<' if listing.down else '>'} %(after)s"
    found = rows(
        f"SELECT * FROM ({query}) AS found WHERE {'true' if after is None else compared}"
        f" ORDER BY {listing.key} {'DESC' if listing.down else 'ASC'} LIMIT %(few)s",
        {**asked, "after": after, "few": limit + 1},
    )
    items = [row._asdict() for row in found[:limit]]
    following = urlencode({"limit": limit, "cursor": items[-1][listing.key]}) if len(found) > limit else ""
    return Page(items, following)


def _only(given: Mapping[str, str], *known: str) -> None:
    """Raises BadInput for what isn't known: nobody is told of other rows than he asked for."""
    for name, value in given.items():
        if name not in known:
            raise BadInput(f"unknown: {name[:40]!a}", hint=f"There is: {', '.join(known) or 'nothing'}.")
        if "\0" in value or len(value) > (CURSOR if name == "cursor" else LONGEST):
            raise BadInput(f"{name}: that is no value")


ONE: Mapping[str, tuple[str, Callable[..., Mapping[str, Any] | Page]]] = {
    "machines/<name>": ("all about one machine", machine),
    "machines/<name>/operations": ("what is or was done to one machine", history),
    "machines/<name>/looks": ("the links that share its console", looks),
    "machines/<name>/usage": ("what one machine used", usage),
    "operations/<int:number>": ("one operation, step by step", operation),
}
