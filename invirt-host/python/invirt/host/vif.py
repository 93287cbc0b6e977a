"""A guest's end of the network: its rules, and the way to it.

Between guest and host there is a link of its own, no bridge: a /32 (or /128)
route leads to the guest, the host answers ARP for everybody else on that
link, and for the guest on its own network.  The rules are loaded before the
link comes up, and go after it is down.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import re
import struct
from collections.abc import Sequence
from pathlib import Path

from invirt.base.errors import CommandFailed
from invirt.base.process import run
from invirt.host import paths
from invirt.host.rules import rules, split

TUNSETIFF, IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x400454CA, 0x2, 0x1000, 0x4000
ROUTER6 = "fe80::1"  # the host, as each guest's IPv6 router
EMULATED = "-emu"  # ends the name of the other interface that Xen gives an HVM guest's nic
OURS = re.compile(rf"inv[0-9]+({EMULATED})?")

SETTINGS = {
    "ipv4/conf/{interface}/proxy_arp": "1",
    "ipv4/neigh/{interface}/proxy_delay": "0",
    "ipv4/conf/{interface}/rp_filter": "1",
    "ipv4/conf/{interface}/accept_redirects": "0",
    "ipv4/conf/{interface}/send_redirects": "0",
    "ipv4/conf/{interface}/ignore_routes_with_linkdown": "1",
    "ipv6/conf/{interface}/accept_ra": "0",
    "ipv6/conf/{interface}/accept_redirects": "0",
    "ipv6/conf/{interface}/addr_gen_mode": "1",  # no address but ROUTER6
}


def interface(nic_id: int) -> str:
    """The host's end of a guest's nic: unique, and at most the 15 letters that Linux takes."""
    return f"inv{nic_id}"


def tap(interface: str) -> int:
    """A new tap interface, down; it goes away when the descriptor that is returned is closed."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR)
    flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR
    try:
        fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", interface.encode(), flags))
    except OSError as error:
        os.close(descriptor)
        raise CommandFailed(f"can't make the interface {interface}: {error.strerror}") from error
    return descriptor


def add(interface: str, mac: str, addresses: Sequence[str], name: str = "", owned: bool = False) -> None:
    """Guard the interface, bring it up, and lead the guest's addresses to it, in this order.

    name: the guest's domain.  owned: the rules live as long as this process,
    or what it executes, and nobody else can take them away (`nft flush
    ruleset` leaves them); else they stay until remove().
    """
    from invirt import config

    servers = config.network.servers
    if owned:
        _load(rules(interface, mac, addresses, name=name, servers=servers, owned=True))
    else:
        text = rules(interface, mac, addresses, name=name, servers=servers)
        paths.write(_kept(interface), text)
        run(["nft", "-f", "-"], input=text)
    own, own6 = split(addresses)
    _set({**SETTINGS, "ipv6/conf/{interface}/disable_ipv6": "0" if own6 else "1"}, interface)
    if name:
        run(["ip", "link", "set", interface, "alias", name])
    run(["ip", "link", "set", interface, "up"])
    if own6:
        run(["ip", "address", "replace", f"{ROUTER6}/64", "dev", interface, "nodad"])
    for address in (*own, *own6):
        _lead(str(address), interface)


def _set(settings: dict[str, str], interface: str) -> None:
    for name, value in settings.items():
        path = Path("/proc/sys/net", name.format(interface=interface))
        if path.exists():  # no IPv6 on some hosts
            path.write_text(value)


def _lead(address: str, interface: str) -> None:
    """A route to the guest, and answers for it on the network where others look for it.

    Of the two interfaces of an HVM guest under Xen the one that is connected
    is taken, and of both the better one.
    """
    uplink = _uplink(address)
    metric = ["metric", "2048"] if interface.endswith(EMULATED) else []
    run(["ip", "route", "replace", address, "dev", interface, *metric])
    if uplink:
        if ":" in address:
            _set({"ipv6/conf/{interface}/proxy_ndp": "1"}, uplink)
        run(["ip", "neighbour", "replace", "proxy", address, "dev", uplink])


def _uplink(address: str) -> str:
    """The host's own interface where the address would be; "" for none, or if a guest has it already."""
    found = run(["ip", "-json", "route", "get", address], check=False).stdout
    device = str(json.loads(found)[0].get("dev", "")) if found.strip() else ""
    return "" if device == "lo" or OURS.fullmatch(device) else device


def _load(text: str) -> None:
    """Run nft commands in this process, by libnftables, and keep its socket for what this executes."""
    before = _sockets()
    nft = ctypes.CDLL("libnftables.so.1")
    nft.nft_ctx_new.restype = ctypes.c_void_p
    nft.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
    context = ctypes.c_void_p(nft.nft_ctx_new(0))
    nft.nft_ctx_buffer_error(context)
    if nft.nft_run_cmd_from_buffer(context, text.encode()) != 0:
        said = nft.nft_ctx_get_error_buffer(context).decode(errors="replace")
        raise CommandFailed("the guest's rules can't be loaded", hint="\n".join(said.splitlines()[:5]))
    for descriptor in _sockets() - before:
        os.set_inheritable(descriptor, True)


def _sockets() -> set[int]:
    """This process' open sockets."""
    found = set()
    for path in Path("/proc/self/fd").iterdir():
        try:
            if os.readlink(path).startswith("socket:"):
                found.add(int(path.name))
        except FileNotFoundError:
            continue  # the folder itself
    return found


def remove(interface: str, addresses: Sequence[str] = ()) -> None:
    """Take away what add() made; the interface, and with it routes and owned rules, may be gone already."""
    run(["ip", "link", "set", interface, "down"], check=False)
    table = f"table netdev invirt_{interface}"
    run(["nft", "-f", "-"], input=f"{table}\ndelete {table}\n")
    _kept(interface).unlink(missing_ok=True)
    for address in addresses:
        uplink = _uplink(address)
        if uplink:
            run(["ip", "neighbour", "delete", "proxy", address, "dev", uplink], check=False)


def reload() -> None:
    """Load the rules that are not owned once more, after somebody flushed all tables."""
    known = _aliases()
    for file in sorted((paths.run() / "vif").glob("*.nft")):
        if file.stem in known:
            run(["nft", "-f", str(file)])


def _kept(interface: str) -> Path:
    return paths.run() / "vif" / f"{interface}.nft"


def counters() -> list[dict[str, str | int]]:
    """For each guest's interface: "interface", "domain", and packets by the name of each counter."""
    known = _aliases()
    found: dict[str, dict[str, str | int]] = {}
    for item in json.loads(run(["nft", "-j", "list", "counters"]).stdout)["nftables"]:
        counter = item.get("counter", {"table": ""})
        if counter["table"].startswith("invirt_"):
            name = counter["table"].removeprefix("invirt_")
            row = found.setdefault(name, {"interface": name, "domain": known.get(name, "")})
            row[counter["name"]] = int(counter["packets"])
    return list(found.values())


def _aliases() -> dict[str, str]:
    """This host's interfaces, and what add() called their guests."""
    links = json.loads(run(["ip", "-json", "link", "show"]).stdout or "[]")
    return {link["ifname"]: link.get("ifalias", "") for link in links}
