"""Network interfaces of machines: more of them, their addresses, their names in DNS.

Its host lets a guest use a new address at once, and the old one no more; the
guest hears of it at its next DHCP renewal.
"""

from __future__ import annotations

import argparse
import secrets
import sys
from datetime import UTC, datetime

from invirt.base.errors import BadInput, Busy
from invirt.database.admin.verbs import Group, Parser, Row, Verb, nothing
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


def _values(parser: Parser) -> None:
    parser.add_argument(
        "--ip", metavar="ADDRESS", type=_address, help=f"IPv4 address; {NOTHING}: it has none"
    )
    parser.add_argument(
        "--ip6", metavar="ADDRESS", type=_address, help=f"IPv6 address; {NOTHING}: it has none"
    )
    parser.add_argument("--held", action="store_true", help="even if another owner's machine had it lately")
    parser.add_argument("--hostname", help=f"its name in DNS; {NOTHING}: the machine's name")


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("machine")
    _values(parser)


def _mac(parser: Parser) -> None:
    parser.add_argument("mac", help="which NIC: its MAC, see `nic list`")


def _set_arguments(parser: Parser) -> None:
    _mac(parser)
    _values(parser)


def _refuse_held(machine: Machine, address: str) -> None:
    """Raises Busy while another owner's machine is still known by it: in caches, keys, firewalls."""
    for held in HeldAddress.find(ip=address):
        if held.owner_id != machine.owner_id and held.until > datetime.now(UTC):
            raise Busy(
                f"the address {address} is held until {held.until:%Y-%m-%d %H:%M:%S}",
                hint="Another owner's machine had it. To give it away nevertheless: --held.",
            )


def _change(nic: Nic, machine: Machine, arguments: argparse.Namespace) -> None:
    for name in ("ip", "ip6", "hostname"):
        value = getattr(arguments, name)
        if value is not None:
            if name != "hostname" and value != NOTHING and not arguments.held:
                _refuse_held(machine, value)
            setattr(nic, name, None if value == NOTHING else value)


def _tell(machine: Machine, what: str) -> None:
    """Of a machine that runs: what waits until it has been off.  A reboot leaves its virtual hardware."""
    if machine.host:
        text = f"{machine.name} runs on {machine.host.name}: {what} after it has been off"
        print(f"{text} (control {machine.name} shutdown, then create)", file=sys.stderr)


def _add(arguments: argparse.Namespace) -> None:
    machine = Machine.get(name=arguments.machine)
    mac = "00:16:3e:" + ":".join(f"{byte:02x}" for byte in secrets.token_bytes(3))
    nic = Nic(machine_id=machine.machine_id, mac_addr=mac)
    _change(nic, machine, arguments)
    session.add(nic)
    _tell(machine, "it has the new NIC")


def _set(arguments: argparse.Namespace) -> None:
    nic = Nic.get(mac_addr=arguments.mac)
    machine = Machine.get(machine_id=nic.machine_id)
    had_none = not nic.addresses
    _change(nic, machine, arguments)
    if had_none and nic.addresses:
        _tell(machine, "unless it was booted with this NIC, it has it")


def _remove(arguments: argparse.Namespace) -> None:
    nic = Nic.get(mac_addr=arguments.mac)
    session.delete(nic)
    _tell(Machine.get(machine_id=nic.machine_id), "the NIC's link goes down now, and it is gone")


def _list(arguments: argparse.Namespace) -> list[Row]:
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


def _further(parser: Parser) -> None:
    parser.add_argument("hostname")
    parser.add_argument("mac", help="of the NIC whose addresses it names")


def _name(arguments: argparse.Namespace) -> None:
    nic = Nic.get(mac_addr=arguments.mac)
    session.add(Hostname(hostname=arguments.hostname, nic_id=nic.nic_id))


def _unname(arguments: argparse.Namespace) -> None:
    session.delete(Hostname.get(hostname=arguments.hostname, nic_id=Nic.get(mac_addr=arguments.mac).nic_id))


GROUP = Group(
    "nic",
    "addresses and host names of machines' network interfaces",
    (
        Verb("add", "give a machine one more, with a MAC of its own", _add_arguments, _add),
        Verb("set", "change one", _set_arguments, _set),
        Verb("list", "show all", nothing, _list),
        Verb("remove", "take one away", _mac, _remove),
        Verb("name", "give one a further host name, beside its own", _further, _name),
        Verb("unname", "take a further host name away", _further, _unname),
    ),
)
