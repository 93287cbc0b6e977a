"""What is known of machines: from the database in one transaction, whether they run from their hosts.

The hosts are asked all at once, each with a deadline; who doesn't answer is named.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from invirt import config
from invirt.base.errors import InvirtError
from invirt.base.names import MachineName

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
    )
    known = {name: getattr(row, name) for name in names}
    made = row.created_at.isoformat(timespec="seconds")
    return known | {"state": "off", "created_at": made, "disks": {}, "pools": {}, "nics": []}


def add_states(machines: Iterable[Machine], hosts: Hosts | None = None) -> dict[str, str]:
    """Set each machine's `state` to running, off or unknown; returns the silent hosts and why.

    Only hosts where a machine's memory is reserved are asked: the others are
    known to be off.
    """
    machines = list(machines)
    asked = {machine["hostname"]: machine["host"] for machine in machines if machine["host"]}
    silent: dict[str, str] = {}
    running: dict[str, set[MachineName]] = {}
    timeout = config.remote.host_timeout
    if not asked:
        return silent
    from invirt.remote.answers import guests  # only for those who ask a host
    from invirt.remote.hosts import RemctlHosts

    answers = (hosts or RemctlHosts()).ask(sorted(asked), "domain", "list", timeout=timeout)
    for hostname, answer in answers.items():
        try:
            running[asked[hostname]] = guests(hostname, answer)
        except InvirtError as error:
            silent[asked[hostname]] = error.message
    for machine in machines:
        machine["state"] = _state(machine, running)
    return silent


def _state(machine: Machine, running: dict[str, set[MachineName]]) -> str:
    if machine["host"] is None:
        return "off"
    if machine["host"] not in running:
        return "unknown"
    return "running" if machine["name"] in running[machine["host"]] else "off"


def told(silent: dict[str, str]) -> list[str]:
    """A line for each host that didn't answer."""
    about = "did not answer, its machines' state is unknown"
    return [f"{host} {about}: {why}" for host, why in sorted(silent.items())]
