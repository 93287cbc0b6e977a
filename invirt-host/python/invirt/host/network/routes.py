"""The way to a guest: a /32 (or /128) route, and the host's answers for it where others look for it."""

from __future__ import annotations

import json
import re
from pathlib import Path

from invirt.base.process import run

ROUTER6 = "fe80::1"  # the host, as each guest's IPv6 router
# Of the host's end of each link, on every host: a guest that moves, running, still knows its router.
MAC = "fe:ff:ff:ff:ff:ff"
NET = Path("/sys/class/net")
EMULATED = "-emu"  # ends the name of the other interface that Xen gives an HVM guest's nic
OURS = re.compile(rf"inv([0-9]+)({EMULATED})?")

SETTINGS = {
    "ipv4/conf/{interface}/proxy_arp": "1",
    "ipv4/neigh/{interface}/proxy_delay": "0",
    "ipv4/conf/{interface}/accept_redirects": "0",
    "ipv4/conf/{interface}/send_redirects": "0",
    "ipv4/conf/{interface}/ignore_routes_with_linkdown": "1",
    "ipv6/conf/{interface}/accept_ra": "0",
    "ipv6/conf/{interface}/accept_redirects": "0",
    "ipv6/conf/{interface}/addr_gen_mode": "1",  # no address but ROUTER6
}


def open_link(interface: str, ipv6: bool, others: bool) -> None:
    """Bring the interface up as a guest's router.

    others: the guest may send here from addresses that lead to another link of its own,
    which the filter on the reverse path would drop, strict or loose, where the host's end
    has no address: its rules alone are left.
    """
    more = {
        "ipv6/conf/{interface}/disable_ipv6": "0" if ipv6 else "1",
        "ipv4/conf/{interface}/rp_filter": "0" if others else "1",
    }
    _set(SETTINGS | more, interface)
    # Xen's links take no address once they are up, be it the one that they have.
    own = NET / interface / "address"
    address = "" if own.exists() and own.read_text().strip() == MAC else f"address {MAC} "
    lines = [f"link set {interface} {address}up"]
    if ipv6:
        lines.append(f"address replace {ROUTER6}/64 dev {interface} nodad")
    _ip(*lines)


def close_link(interface: str) -> None:
    """Take it down, and with it all routes that lead there; it may be gone."""
    run(["ip", "link", "set", interface, "down"], check=False)


def lead(address: str, interface: str) -> str:
    """A route to the guest, and answers for it on the network where others look for it.

    Returns the host's own interface there, "" if there is none, or if the address leads to a guest already.

    Of the two interfaces of an HVM guest under Xen the one that is connected
    is taken, and of both the better one.
    """
    uplink = _uplink(address)
    metric = "metric 2048" if interface.endswith(EMULATED) else ""
    lines = [f"route replace {address} dev {interface} {metric}"]
    if uplink:
        if ":" in address:
            _set({"ipv6/conf/{interface}/proxy_ndp": "1"}, uplink)
        lines.append(f"neighbour replace proxy {address} dev {uplink}")
    _ip(*lines)
    return uplink


def mislead(address: str, interface: str) -> None:
    """Take that away, unless another guest of this host has the address by now."""
    run(["ip", "route", "delete", address, "dev", interface], check=False)
    uplink = _uplink(address)
    if uplink:
        run(["ip", "neighbour", "delete", "proxy", address, "dev", uplink], check=False)


def near() -> list[str]:
    """The host's own networks, where it asks for each address before it sends anything there."""
    found = []
    for kind in ("-4", "-6"):
        for route in json.loads(run(["ip", "-json", kind, "route"], check=False).stdout or "[]"):
            ours = OURS.fullmatch(str(route.get("dev", "inv0")))
            if "/" in route["dst"] and "gateway" not in route and not ours:
                found.append(str(route["dst"]))
    return found


def _ip(*lines: str) -> None:
    """Several commands of ip(8) by one process, which ends at the first that fails: a boot waits for them."""
    run(["ip", "-batch", "-"], input="".join(f"{line}\n" for line in lines))


def _set(settings: dict[str, str], interface: str) -> None:
    for name, value in settings.items():
        path = Path("/proc/sys/net", name.format(interface=interface))
        if path.exists():  # no IPv6 on some hosts
            path.write_text(value)


def _uplink(address: str) -> str:
    """The host's own interface where the address would be; "" for none, or if a guest has it already."""
    found = run(["ip", "-json", "route", "get", address], check=False).stdout
    device = str(json.loads(found)[0].get("dev", "")) if found.strip() else ""
    return "" if device == "lo" or OURS.fullmatch(device) else device
