"""Hosts: the servers that run guests."""

from __future__ import annotations

from invirt import config
from invirt.base.abilities import HYPERVISORS
from invirt.base.cli import Flag, Group, Option, Verb
from invirt.base.errors import BadInput
from invirt.database.admin.verbs import Row, given, listing, memory, named, refuse_if_used
from invirt.database.models import Host
from invirt.database.session import session

NAME = named("host1", "short, as in host1")
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


def _list() -> list[Row]:
    return [
        {
            "name": host.name,
            "hostname": host.hostname,
            "memory": host.memory,
            "reserved": sum(one.memory for one in host.reservations),
            "machines": len(host.reservations),
            "hypervisor": host.hypervisor,
            "enabled": "yes" if host.enabled else "no",
        }
        for host in Host.find()
    ]


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
        listing("show all, with the memory (MiB) reserved on each", _list),
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
