"""What is known of machines: from the database in one transaction, also whether they run, as hosts tell it.

Hosts are asked if that is wished, and those of the version before, which tell nothing: all at
once, each with a deadline; who doesn't answer is named.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from invirt import config
from invirt.base.errors import InvirtError
from invirt.base.names import MachineName
from invirt.base.tables import ago

if TYPE_CHECKING:
    from invirt.remote.hosts import Hosts


Machine = dict[str, Any]  # as --json shows it; memory in MiB, disks in GiB

DISKS = """
SELECT machine_id, d.name, size, p.name::text AS pool FROM disks d JOIN pools p USING (pool_id)
WHERE machine_id = ANY(%s) ORDER BY machine_id, d.name
"""
NICS = """
SELECT machine_id, host(ip) AS ip, host(ip6) AS ip6, mac_addr::text AS mac_addr, hostname::text AS hostname
FROM nics WHERE machine_id = ANY(%s) ORDER BY machine_id, nic_id
"""
STATES = """
SELECT machine_id, state, seen, since, why, silence, befell FROM machine_states WHERE machine_id = ANY(%s)
"""


def describe(cursor: Any, rows: Iterable[Any]) -> list[Machine]:
    """What the database knows of the machines whose rows (see access) these are."""
    machines = {row.machine_id: _machine(row) for row in rows}
    cursor.execute(DISKS, (list(machines),))
    for disk in cursor.fetchall():
        machines[disk.machine_id]["disks"][disk.name] = disk.size
        machines[disk.machine_id]["pools"][disk.name] = disk.pool
    cursor.execute(NICS, (list(machines),))
    for nic in cursor.fetchall():
        known = {"ip": nic.ip, "ip6": nic.ip6, "mac_addr": nic.mac_addr, "hostname": nic.hostname}
        machines[nic.machine_id]["nics"].append(known)
    cursor.execute(STATES, (list(machines),))
    for row in cursor.fetchall():
        _observe(machines[row.machine_id], row)
    return list(machines.values())


def _machine(row: Any) -> Machine:
    names = (
        "name",
        "owner",
        "type",
        "memory",
        "cpus",
        "description",
        "host",
        "hostname",
        "autostart",
        "why_off",
        "priority",
        "system",
        "rescue",
        "cdrom",
    )
    known = {name: getattr(row, name) for name in names}
    times = {"created_at": row.created_at, "installed_at": row.installed_at}
    known |= {name: time and time.isoformat(timespec="seconds") for name, time in times.items()}
    state = {"state": "off", "since": None, "ended": None, "last_seen": None, "befell": None}
    return known | state | {"disks": {}, "pools": {}, "nics": []}


def _observe(machine: Machine, row: Any) -> None:
    """last_seen: what a silent host said, and how many seconds ago; null: never."""
    machine["state"], machine["befell"] = row.state, row.befell
    if row.state == "unknown":
        seconds = None if row.silence is None else round(row.silence)
        machine["last_seen"] = {"state": row.seen, "seconds": seconds}
    elif row.state == row.seen and row.since:
        machine["since"] = row.since.isoformat(timespec="seconds")
        machine["ended"] = row.why


def add_states(machines: Sequence[Machine], hosts: Hosts | None = None, ask: bool = False) -> dict[str, str]:
    """Complete each machine's `state`: running, paused, off or unknown; returns the silent hosts and why.

    ask: not what hosts have told, but what they say now.  Only hosts where a machine's memory
    is reserved are asked: the others are known to be off.
    """
    asking = [machine for machine in machines if machine["host"] and (ask or _never_told(machine))]
    silent = {machine["host"]: _since(machine) for machine in machines if _silence(machine)}
    asked = {machine["hostname"]: machine["host"] for machine in asking}
    running: dict[str, set[MachineName]] = {}
    if not asked:
        return silent
    from invirt.remote.answers import guests  # only for those who ask a host
    from invirt.remote.hosts import RemctlHosts

    timeout = config.remote.host_timeout
    answers = (hosts or RemctlHosts()).ask(sorted(asked), "domain", "list", timeout=timeout)
    silent = {host: why for host, why in silent.items() if host not in asked.values()}
    for hostname, answer in answers.items():
        try:
            running[asked[hostname]] = guests(hostname, answer)
        except InvirtError as error:
            silent[asked[hostname]] = error.message
    for machine in asking:
        _answered(machine, _state(machine, running))
    return silent


def _silence(machine: Machine) -> int | None:
    """Seconds for which the host of a machine whose state is unknown has told nothing."""
    seen = machine["last_seen"]
    return int(seen["seconds"]) if seen and seen["seconds"] is not None else None


def _never_told(machine: Machine) -> bool:
    return machine["last_seen"] is not None and machine["last_seen"]["seconds"] is None


def _since(machine: Machine) -> str:
    return f"it said something {ago(_silence(machine) or 0)} for the last time"


def _answered(machine: Machine, state: str) -> None:
    """What the host said counts.  That a guest is paused it doesn't say: its QEMU runs."""
    before, seen = machine["state"], machine["last_seen"]
    if state == "unknown":
        known = {"state": before, "seconds": 0} if seen is None else seen
        machine["last_seen"] = known if known["seconds"] is not None else None
    else:
        machine["last_seen"] = None
    if (before, state) != ("paused", "running"):
        machine["state"] = state
    if machine["state"] != before:
        machine["since"] = machine["ended"] = None


def in_words(machine: Machine) -> str:
    """A machine's state as people read it."""
    if _silence(machine):
        return f"unknown, last seen {machine['last_seen']['state']} {ago(machine['last_seen']['seconds'])}"
    return f"{machine['state']} (rescue)" if machine["rescue"] else str(machine["state"])


def befallen(machines: Iterable[Machine]) -> list[str]:
    """A line for each machine whose host was lost."""
    return [f"{machine['name']}: {machine['befell']}" for machine in machines if machine["befell"]]


def _state(machine: Machine, running: dict[str, set[MachineName]]) -> str:
    if machine["host"] not in running:
        return "unknown"
    return "running" if machine["name"] in running[machine["host"]] else "off"


def told(silent: dict[str, str]) -> list[str]:
    """A line for each host that didn't answer."""
    about = "did not answer, its machines' state is unknown"
    return [f"{host} {about}: {why}" for host, why in sorted(silent.items())]
