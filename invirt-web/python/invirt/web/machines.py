"""The pages of a user: my machines, a new one, one machine, an operation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from invirt import config
from invirt.base import validate
from invirt.base.errors import BadInput, InvirtError, NotFound
from invirt.database.usage import DROPS, PERIODS, SAMPLES, SINCE, WHY
from invirt.web import displays, forms, installs, making, plots, saying, site
from invirt.web.answers import Answer, Go, Page, Visit, status
from invirt.web.api.bearer import Bearer
from invirt.web.operations import MAY_SEE, MOVES, OPEN, hidden
from invirt.web.reading import one, rows

# An array is asked for first; with IN, all machines are looked at.
OWN = """machine_id = ANY (ARRAY(
    SELECT machine_id FROM access WHERE principal = %(who)s AND role <> 'administrator'))"""
MINE = f"""
SELECT name, owner, description, memory, state, seen, silence, befell,
    ARRAY(SELECT n.ip FROM web.nics n WHERE n.machine_id = m.machine_id AND n.ip IS NOT NULL) AS addresses,
    (SELECT sum(size) FROM web.disks d WHERE d.machine_id = m.machine_id) AS disk,
    (SELECT kind FROM web.operations o WHERE o.machine_id = m.machine_id
        AND o.state IN ('running', 'undoing', 'stuck')) AS busy,
    move, moving
FROM web.machines m LEFT JOIN {MOVES} USING (machine_id) WHERE {OWN} ORDER BY name
"""
MACHINE = f"""
SELECT m.*, move, moving,
    ARRAY(SELECT role FROM access a WHERE a.machine_id = m.machine_id AND principal = %(who)s) AS roles,
    (SELECT virt FROM web.types t WHERE t.name = m.type) AS virt,
    ARRAY(SELECT a.name FROM web.apart a WHERE a.machine_id = m.machine_id ORDER BY 1) AS apart
FROM web.machines m LEFT JOIN {MOVES} USING (machine_id) WHERE name = %(name)s
"""
DISKS = "SELECT * FROM web.disks WHERE machine_id = %(machine)s ORDER BY name"
NICS = "SELECT * FROM web.nics WHERE machine_id = %(machine)s ORDER BY nic_id"
LIMITS = "SELECT resource, amount, standard, most FROM web.limits WHERE machine_id = %(machine)s ORDER BY 1"
HELD = {  # as people read what is limited, in this order
    "cap": "{} % of a CPU",
    "weight": "a weight of {} among CPUs",
    "disk": "{} MiB/s of its disks",
    "operations": "{} operations of its disks a second",
    "download": "{} Mbit/s received",
    "upload": "{} Mbit/s sent",
}
WHO_ELSE = """
SELECT principal, array_agg(role ORDER BY role) AS roles FROM access
WHERE machine_id = %(machine)s AND role <> 'administrator' GROUP BY principal ORDER BY principal
"""
LOOKS = """
SELECT look_id, principal, ceil(extract(epoch FROM ends_at - now()) / 60)::int AS minutes
FROM looks WHERE machine_id = %(machine)s ORDER BY look_id
"""
HISTORY = """
SELECT o.*, ' from ' || v.source || ' to ' || v.target AS way
FROM web.operations o LEFT JOIN web.moves v ON v.operation_id = o.operation_id AND v.machine_id = %(machine)s
WHERE o.machine_id = %(machine)s ORDER BY operation_id DESC LIMIT 20
"""
TRASH = """
SELECT t.* FROM web.trash t WHERE owner_id IN
    (SELECT owner_id FROM owner_access WHERE principal = %(who)s AND role = 'owner') ORDER BY ends_at
"""
OFFERS = """
SELECT machine, memory, to_name, principal FROM offers WHERE to_owner IN
    (SELECT owner_id FROM owner_access WHERE principal = %(who)s AND role = 'owner')
    OR to_owner IS NULL AND to_name = %(own)s ORDER BY at DESC LIMIT 100
"""
OPERATION = f"""
SELECT o.*, m.name AS machine FROM web.operations o LEFT JOIN web.machines m USING (machine_id)
WHERE {MAY_SEE}
"""
STEPS = "SELECT * FROM web.steps WHERE operation_id = %(number)s AND state <> 'pending' ORDER BY position"
AGAIN = 2  # seconds

# What can be done on one machine's page, in its order: the verb, and what its button says.
POWER = {"create": "Start", "shutdown": "Shut down", "reboot": "Reboot", "destroy": "Power off"}
# Which of them are offered, by what is known of its state; remote decides.
OFFERED = {
    "off": ("create",),
    "running": ("shutdown", "reboot", "destroy"),
    "paused": ("destroy",),
    "unknown": ("shutdown", "destroy"),
}
CHANGES = {
    "Size and name": {
        "resize": "Change memory, CPUs or disks",
        "limit": "Hold it to so much of CPUs, disks and network",
        "rename": "Give it another name",
        "set": "Say whether it starts again after a crash, or whose it is to be",
        "apart": "Keep it on another host than one of its owner's others",
        "together": "Let it be on one host with another again",
    },
    "CD": {"insert": "Put a CD into its drive", "eject": "Take the CD out"},
    "Disks": {
        "lvcreate": "Add a disk",
        "lvresize": "Make a disk larger",
        "lvrename": "Rename a disk",
        "lvremove": "Remove a disk",
    },
    "Who may": {"allow": "Let somebody in", "disallow": "Let somebody in no more"},
    "Delete": {"delete": "Delete it"},
}
OF_CONTROL = frozenset((*POWER, "rescue"))
VERBS = OF_CONTROL.union(*CHANGES.values())


def mine(visit: Visit) -> Answer:
    """What one has, what it does, what is left of the quota."""
    name, _, realm = visit.who.rpartition("@")
    asked = {"who": visit.who, "own": name if realm == config.site.realm else ""}
    values = {
        "machines": (found := rows(MINE, asked)),
        "quotas": making.quotas(visit.who),
        "trash": rows(TRASH, asked),
        "offers": rows(OFFERS, asked),
    }
    return _followed("mine", values, any(one.move for one in found))


def _followed(name: str, values: Mapping[str, Any], moves: bool, status: int = 200) -> Page:
    """A page of machines, of which one moves, or none does."""
    return Page(name, values, status, AGAIN, "progress") if moves else Page(name, values, status)


def machine(
    visit: Visit,
    name: str,
    verb: str = "",
    error: InvirtError | None = None,
    link: str = "",
    password: str = "",
) -> Answer:
    """All about one machine.

    error: what was wrong when verb was asked for, with what was typed.  link, password: a new look's, and
    root's of what is being installed; they are shown this once.
    """
    found = _find(visit.who, name)
    asked = {"machine": found.machine_id}
    history, nics = rows(HISTORY, asked), rows(NICS, asked)
    of = visit.values.get("of", "day")
    values = {
        "machine": found,
        "disks": rows(DISKS, asked),
        "held": _held(found.machine_id),
        "nics": nics,
        "names": _names(found.name, nics),
        "people": rows(WHO_ELSE, asked),
        "looks": rows(LOOKS, asked),
        "link": link,
        "password": password,
        **installs.about(found.machine_id),
        "why_here": _why(visit, found.name),
        "moving": site.MOVING if visit.administrator else {},
        "history": history,
        "busy": next((row for row in history if row.state in OPEN), None),
        "power": {verb: POWER[verb] for verb in OFFERED[found.state]},
        "changes": CHANGES,
        "forms": forms.offered(),
        "screen": displays.has(found.virt),
        "refused": {"verb": verb, "error": error, "typed": visit.values} if error else None,
        **_usage(found.machine_id, of if of in PERIODS else "day"),
    }
    return _followed("machine", values, found.move is not None, status(error) if error else 200)


def _why(visit: Visit, name: str) -> list[dict[str, str]] | str | None:
    """What speaks for and against each host; or why nobody says.  Asked for by a link: it takes a while."""
    if not visit.administrator or "why" not in visit.values:
        return None
    try:
        found: list[dict[str, str]] = saying.say(
            *forms.form("explain").said({"user": visit.who, "name": name})
        )["hosts"]
    except InvirtError as error:
        return error.message
    return found


def _held(machine: int) -> list[str]:
    """What it is held to, in words."""
    found = {row.resource: row.amount for row in rows(LIMITS, {"machine": machine})}
    return [words.format(found[resource]) for resource, words in HELD.items() if found.get(resource)]


def _names(name: str, nics: list[Any]) -> list[str]:
    """What leads to it in DNS, its own name first."""
    given = [one for nic in nics for one in (nic.hostname, *nic.further_names) if one]
    return list(dict.fromkeys((f"{name}.{config.site.domain}", *given)))


def _find(who: str, name: str) -> Any:
    found = one(MACHINE, {"who": who, "name": name}) if validate.passes(name, validate.machine_name) else None
    if found is None or not found.roles:
        raise NotFound(f"there is no machine {name[:63]} that you may use", hint="Its owner can let you in.")
    return found


def _usage(machine: int, of: str) -> dict[str, Any]:
    period, step = PERIODS[of]
    asked = {"machine": machine, "period": period, "step": step}
    dropped = rows(DROPS, {**asked, "since": rows(SINCE, asked)[0].at})
    drawn = _plots(machine, of)
    return {"of": of, "periods": tuple(PERIODS), "plots": drawn, "dropped": dropped, "why": WHY}


def _plots(machine: int, of: str) -> list[plots.Plot]:
    period, step = PERIODS[of]
    asked = {"machine": machine, "period": period, "step": step}
    samples = rows(SAMPLES, asked)
    (begin,) = rows("SELECT extract(epoch FROM now() - %(period)s::interval)::double precision AS at", asked)
    return plots.plots(samples, begin.at, period.total_seconds(), step)


def day(visit: Visit, name: str) -> Answer:
    """What its CPUs do now, and did in the last day: a picture, which the list of machines waits for last."""
    found = _find(visit.who, name)
    plot = next(iter(_plots(found.machine_id, "day")), None)
    now = plot.curves[0].last if plot and found.state == "running" else ""
    return Page("day", {"plot": plot, "now": now}, kind="image/svg+xml")


def console(visit: Visit, name: str) -> Answer:
    """A machine's serial console, which is a stream: see invirt.web.streams.serial."""
    found = _find(visit.who, name)
    if not config.console.hostname:
        raise NotFound("this site has no consoles", hint="Its administrators can set up a console server.")
    return Page("console", {"machine": found}, script="console")


def screen(visit: Visit, name: str) -> Answer:
    """A machine's screen, which is a stream: see invirt.web.streams.screen."""
    found = _find(visit.who, name)
    displays.check(name, found.type, found.virt)
    return Page("screen", {"machine": found}, script="screen")


def change(visit: Visit, name: str, verb: str) -> Answer:
    """Do what a form of the machine's page asks for."""
    try:
        if verb == "install":
            return machine(visit, name, password=installs.begin(visit, name))
        return _done(visit, name, verb)
    except InvirtError as error:
        return machine(visit, name, verb, error)


def _done(visit: Visit, name: str, verb: str) -> Answer:
    if verb not in VERBS:
        raise NotFound(f"there is no {verb[:20]!a}")
    values = {**visit.values, "user": visit.who, "name": name}
    if verb == "delete":
        if visit.values.get("typed_name") != name:
            raise BadInput(f"{name} is not deleted", hint="Type its name to say that you mean it.")
        values["yes"] = "yes"
    found = saying.say(*forms.form(f"control {verb}" if verb in OF_CONTROL else verb).said(values))
    return saying.after(found, f"/machines/{name}", saying.told(found))


def trash(visit: Visit, name: str, verb: str) -> Answer:
    """Give back what was deleted, or end it at once."""
    if verb not in ("undelete", "purge"):
        raise NotFound(f"there is no {verb[:20]!a}")
    values = {"user": visit.who, "name": name, "yes": "yes" if visit.values.get("typed_name") == name else ""}
    return saying.after(saying.say(*forms.form(verb).said(values)), "/")


def offer(visit: Visit, name: str, verb: str) -> Answer:
    """Take over a machine that is offered, or leave it."""
    if verb not in ("accept", "decline"):
        raise NotFound(f"there is no {verb[:20]!a}")
    found = saying.say(*forms.form(verb).said({"user": visit.who, "name": name}))
    return Go(f"/machines/{name}" if verb == "accept" else "/", saying.told(found))


def operation(visit: Visit, number: int) -> Answer:
    """How something goes, or went."""
    found = one(OPERATION, {**Bearer(visit.who).asked, "number": number}) if number < 1 << 63 else None
    if found is None:
        raise hidden(number)
    going = found.state in OPEN
    mending = visit.administrator and found.state == "stuck"
    values = {
        "operation": found,
        "steps": rows(STEPS, {"number": number}),
        "going": going,
        "forms": forms.offered() if mending else {},
        "verbs": site.MENDING,
    }
    return Page("operation", values, again=AGAIN, script="progress") if going else Page("operation", values)
