"""Hosts: the servers that run guests."""

from __future__ import annotations

from sqlalchemy import text

from invirt import config
from invirt.base.abilities import HYPERVISORS
from invirt.base.cli import Flag, Found, Group, Option, Table, Verb
from invirt.base.errors import BadInput
from invirt.database.admin.verbs import Row, given, memory, named, refuse_if_used
from invirt.database.models import Host
from invirt.database.session import session

NAME = named("host1", "short, as in host1")
EMULATED = "emulated"
_TOLD = "SELECT accelerator, reason, host_id FROM host_signs"  # by each host, with its signs of life
HYPERVISOR = Option(
    "hypervisor", "what it runs (a new one: hypervisor.driver of invirt.yaml)", choices=HYPERVISORS
)


def _hostname(*, required: bool = False) -> Option:
    about = "full, as in its Kerberos principal"
    return Option("hostname", about, metavar="HOSTNAME", required=required, sample="host1.example.org")


def _add(name: str, hostname: str, memory: int, disabled: bool, hypervisor: str | None) -> None:
    usual = config.hypervisor.driver
    if hypervisor is None and usual == "auto":
        raise BadInput("which hypervisor does the host run?", hint="Give --hypervisor xen or qemu.")
    host = Host(name=name, hostname=hostname, memory=memory, hypervisor=hypervisor or usual)
    host.enabled = not disabled
    session.add(host)


def _list() -> Found:
    """All; of those that emulate, why, so that nobody wonders why they are slow."""
    told = {row.host_id: row for row in session.execute(text(_TOLD))}
    rows, notes = [], []
    for host in Host.find():
        accelerator, reason = told.get(host.host_id, (None, None))[:2]
        rows.append(_row(host) | {"accelerator": EMULATED if accelerator == "tcg" else accelerator})
        if accelerator == "tcg":
            notes.append(f"{host.name} emulates its guests, which is slow: {reason}")
    return Found(rows, notes)


def _row(host: Host) -> Row:
    return {
        "name": host.name,
        "hostname": host.hostname,
        "memory": host.memory,
        "reserved": sum(one.memory for one in host.reservations),
        "machines": len(host.reservations),
        "hypervisor": host.hypervisor,
        "enabled": "lost" if host.lost_at else "yes" if host.enabled else "no",
    }


def _set(name: str, enable: bool, disable: bool, **values: object) -> None:
    host = Host.get(name=name)
    values["enabled"] = True if enable else False if disable else None
    wanted = given(values, "Give --hostname, --memory, --hypervisor, --enable or --disable.")
    for key, value in wanted.items():
        setattr(host, key, value)


def _remove(name: str) -> None:
    host = Host.get(name=name)
    refuse_if_used(f"the host {host.name}", [one.machine for one in host.reservations])
    session.delete(host)


GROUP = Group(
    "host",
    "servers that run guests",
    (
        Verb(
            "add",
            "tell of a host",
            _add,
            (
                NAME,
                _hostname(required=True),
                memory("what guests may have", required=True),
                HYPERVISOR,
                Flag("disabled", "boot nothing there yet"),
            ),
            changes=True,
        ),
        Verb(
            "list",
            "show all, with the memory (MiB) reserved on each, and which emulate their guests",
            _list,
            shown=Table(),
        ),
        Verb(
            "set",
            "change a host",
            _set,
            (
                NAME,
                _hostname(),
                memory("what guests may have"),
                HYPERVISOR,
                Flag("enable", "guests may be booted there"),
                Flag("disable", "boot nothing more there"),
            ),
            changes=True,
            apart=("enable", "disable"),
            example="host1 --disable",
        ),
        Verb("remove", "forget a host that runs nothing", _remove, (NAME,), changes=True),
    ),
)
