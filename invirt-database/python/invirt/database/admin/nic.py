"""Network interfaces of machines: more of them, their addresses, their names in DNS.

Its host lets a guest use a new address at once, and the old one no more; the
guest hears of it at its next DHCP renewal.  A new interface is plugged into a guest
that runs, one that is removed is plugged out.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

from invirt.base.cli import Argument, Flag, Found, Group, Option, Verb
from invirt.base.errors import BadInput, Busy
from invirt.database.admin.verbs import Row, listing
from invirt.database.models import HeldAddress, Hostname, Machine, Nic
from invirt.database.session import session

NOTHING = "none"


def _address(text: str) -> str:
    """The database says what an address is; but it would take one with a mask for another address."""
    address, slash, _ = text.partition("/")
    if slash:
        raise BadInput(
            f"{text!a} is an address with its mask", hint=f"Say {address!a}; its range has the mask."
        )
    return text


def _refuse_held(machine: Machine, address: str) -> None:
    """Raises Busy while another owner's machine is still known by it: in caches, keys, firewalls."""
    for held in HeldAddress.find(ip=address):
        if held.owner_id != machine.owner_id and held.until > datetime.now(UTC):
            raise Busy(
                f"the address {address} is held until {held.until:%Y-%m-%d %H:%M:%S}",
                hint="Another owner's machine had it. To give it away nevertheless: --held.",
            )


def _change(nic: Nic, machine: Machine, held: bool, values: dict[str, str | None]) -> None:
    for name, value in values.items():
        if value is not None:
            if name != "hostname" and value != NOTHING and not held:
                _refuse_held(machine, value)
            setattr(nic, name, None if value == NOTHING else value)


def _plugged(machine: Machine, how: str) -> Found:
    """Of a machine that runs: what its host does now, and what comes if it can't, or doesn't answer."""
    if not machine.host:
        return Found(None)
    host, name = machine.host.name, machine.name
    return Found(
        None,
        [
            f"{name} runs on {host}, which plugs the NIC {how}",
            f"if {host} can't (journalctl -u invirt-host-observer), that is so after {name} has been off",
        ],
    )


def _add(machine: str, held: bool, **values: str | None) -> Found:
    owner = Machine.get(name=machine)
    mac = "00:16:3e:" + ":".join(f"{byte:02x}" for byte in secrets.token_bytes(3))
    nic = Nic(machine_id=owner.machine_id, mac_addr=mac)
    _change(nic, owner, held, values)
    session.add(nic)
    return _plugged(owner, "in")


def _set(mac: str, held: bool, **values: str | None) -> Found:
    nic = Nic.get(mac_addr=mac)
    machine = Machine.get(machine_id=nic.machine_id)
    had_none = not nic.addresses
    _change(nic, machine, held, values)
    return _plugged(machine, "in") if had_none and nic.addresses else Found(None)


def _remove(mac: str) -> Found:
    nic = Nic.get(mac_addr=mac)
    session.delete(nic)
    return _plugged(Machine.get(machine_id=nic.machine_id), "out")


def _list() -> list[Row]:
    return [
        {
            "machine": machine.name,
            "mac": nic.mac_addr,
            "ip": nic.ip,
            "ip6": nic.ip6,
            "hostname": nic.hostname,
            "further_names": " ".join(further.hostname for further in nic.hostnames),
        }
        for machine in sorted(Machine.find(), key=lambda machine: machine.name)
        for nic in machine.nics
    ]


def _name(hostname: str, mac: str) -> None:
    nic = Nic.get(mac_addr=mac)
    session.add(Hostname(hostname=hostname, nic_id=nic.nic_id))


def _unname(hostname: str, mac: str) -> None:
    session.delete(Hostname.get(hostname=hostname, nic_id=Nic.get(mac_addr=mac).nic_id))


VALUES = (
    Option("ip", f"IPv4 address; {NOTHING}: it has none", _address, "ADDRESS", sample="192.0.2.7"),
    Option("ip6", f"IPv6 address; {NOTHING}: it has none", _address, "ADDRESS", sample="2001:db8::7"),
    Flag("held", "even if another owner's machine had it lately"),
    Option("hostname", f"its name in DNS; {NOTHING}: the machine's name", metavar="HOSTNAME"),
)
MACHINE = Argument("machine", "whose NIC it becomes", metavar="MACHINE", sample="remus")
MAC = Argument("mac", "which NIC: its MAC, see `nic list`", metavar="MAC", sample="00:16:3e:12:34:56")
HOSTNAME = Argument("hostname", "the further name", metavar="HOSTNAME", sample="www.example.org")
GROUP = Group(
    "nic",
    "addresses and host names of machines' network interfaces",
    (
        Verb(
            "add", "give a machine one more, with a MAC of its own", _add, (MACHINE, *VALUES), changes=True,
            example="remus --ip 192.0.2.7",
        ),
        Verb(
            "set", "change one", _set, (MAC, *VALUES), changes=True,
            example="00:16:3e:12:34:56 --hostname www.example.org",
        ),
        listing("show all NICs", _list),
        Verb("remove", "take one away", _remove, (MAC,), changes=True),
        Verb("name", "give one a further host name, beside its own", _name, (HOSTNAME, MAC), changes=True),
        Verb("unname", "take a further host name away", _unname, (HOSTNAME, MAC), changes=True),
    ),
)  # fmt: skip
