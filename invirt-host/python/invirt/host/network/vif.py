"""A guest's end of the network: its rules, and the way to it.

Between guest and host there is a link of its own, no bridge: a /32 (or /128)
route leads to the guest, the host answers ARP for everybody else on that
link, and for the guest on its own network.  The rules are loaded before the
link comes up, and go after it is down.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from invirt.base.errors import CommandFailed, NotFound
from invirt.base.names import DomainName
from invirt.base.process import run
from invirt.host import paths
from invirt.host.network import owned, routes
from invirt.host.network.addresses import split
from invirt.host.network.announce import announce
from invirt.host.network.rules import rules

NOBODY = DomainName("")
TUNSETIFF, IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x400454CA, 0x2, 0x1000, 0x4000


@dataclass(frozen=True)
class Link:
    """A guest's link; name: its domain's; keeper: the process that keeps its rules (see network.owned).

    led: whether its addresses lead to it; not so while the guest is on its way in from another host.
    others: addresses of the guest's other links, from which it may send here, as Linux does by its first.
    """

    mac: str
    addresses: tuple[str, ...]
    name: DomainName = NOBODY
    keeper: int | None = None
    led: bool = True
    others: tuple[str, ...] = ()

    def rules(self, interface: str) -> str:
        """What the guest may send."""
        from invirt import config

        return rules(
            interface,
            self.mac,
            self.addresses + self.others,
            name=self.name,
            servers=config.network.servers,
            near=routes.near(),
            owned=self.keeper is not None,
        )


def interface(nic_id: int) -> str:
    """The host's end of a guest's nic: unique, and at most the 15 letters that Linux takes."""
    return f"inv{nic_id}"


def number(interface: str) -> int:
    """The nic_id that the interface is named after; 0, which no nic has, for others."""
    ours = routes.OURS.fullmatch(interface)
    return int(ours[1]) if ours else 0


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


def add(
    interface: str,
    mac: str,
    addresses: Sequence[str],
    name: DomainName = NOBODY,
    keeper: int | None = None,
    others: Sequence[str] = (),
    soon: bool = False,
) -> None:
    """Guard the interface, and then lead the guest's addresses to it.

    soon: the guest has yet to boot, so its neighbours needn't be told at once (see announce).
    """
    guard(interface, mac, addresses, name, keeper, others)
    _open(interface, replace(_known(interface), led=True), soon)


def guard(
    interface: str,
    mac: str,
    addresses: Sequence[str],
    name: DomainName = NOBODY,
    keeper: int | None = None,
    others: Sequence[str] = (),
) -> None:
    """Let the guest send nothing but its own; its addresses stay where they are.

    name: the guest's domain.  others: see Link.  keeper: whose rules they are (network.owned): nobody
    else can take them away (`nft flush ruleset` leaves them); without one they stay until remove().
    """
    link = Link(mac, tuple(addresses), name, keeper, led=False, others=tuple(others))
    if keeper is None:
        _load(interface, link)
    else:
        owned.load(link.rules(interface), keeper)
    if name:
        run(["ip", "link", "set", interface, "alias", name])
    _remember(interface, link)


def lead(interface: str) -> None:
    """Bring the guarded interface up, and take its guest's addresses to this host; NotFound if it is gone."""
    _open(interface, replace(_known(interface), led=True))


def change(interface: str, addresses: Sequence[str], others: Sequence[str] = ()) -> None:
    """Give the guest other addresses while it runs; NotFound if it is gone.

    From now on it may use no others, but those of its other links; without any its link goes down.
    """
    before = _known(interface)
    link = replace(before, addresses=tuple(addresses), others=tuple(others))
    for address in set(before.addresses) - set(addresses):
        routes.mislead(address, interface)  # first: even if rules fail, reverse path filtering stops it
    if addresses:
        renew(interface, link)
    else:
        routes.close_link(interface)
    if link.led:
        _open(interface, link)
    else:
        _remember(interface, link)


def renew(interface: str, link: Link) -> None:
    """Give a running guest the rules that this version has for it."""
    if link.keeper is not None:
        owned.change(link.rules(interface), link.keeper)
    else:
        _load(interface, link)


def _load(interface: str, link: Link) -> None:
    text = link.rules(interface)
    run(["nft", "-f", "-"], input=text)
    paths.write(_file(interface, ".nft"), text)


def _open(interface: str, link: Link, soon: bool = False) -> None:
    """Let the guest in, and remember how."""
    own, own6 = split(link.addresses)
    if link.addresses:
        routes.open_link(interface, ipv6=bool(own6), others=bool(link.others))
    uplinks = {str(address): routes.lead(str(address), interface) for address in (*own, *own6)}
    announce(interface, {address: uplink for address, uplink in uplinks.items() if uplink}, soon)
    _remember(interface, link)


def _remember(interface: str, link: Link) -> None:
    paths.write(_file(interface, ".json"), json.dumps(asdict(link)))


def _known(interface: str) -> Link:
    if link := links().get(interface):
        return link
    raise NotFound(f"no guest has the interface {interface}")


def links() -> dict[str, Link]:
    """By their interfaces: the links of this host's guests."""
    there = _interfaces()
    return {interface: link for interface, link in _remembered().items() if interface in there}


def _remembered() -> dict[str, Link]:
    found = {}
    for file in _folder().glob("[!.]*.json"):
        with suppress(FileNotFoundError):  # removed just now
            found[file.stem] = _read(file)
    return found


def _read(file: Path) -> Link:
    saved = json.loads(file.read_text())
    lists = {word: tuple(value) for word, value in saved.items() if isinstance(value, list)}
    return Link(**{**saved, **lists})


def exists(interface: str) -> bool:
    """Whether the kernel has it, whatever else is said of it."""
    return interface in _interfaces()


def _interfaces() -> set[str]:
    return {name for _, name in socket.if_nameindex()}


def remove(interface: str) -> None:
    """Take away what add() made; the interface, and with it routes and owned rules, may be gone already."""
    routes.close_link(interface)
    link = _remembered().get(interface, Link("", ()))
    _file(interface, ".nft").unlink(missing_ok=True)  # first: nobody loads what is taken away
    table = f"table netdev invirt_{interface}"
    if link.keeper is None:
        run(["nft", "-f", "-"], input=f"{table}\ndelete {table}\n")
    else:
        with suppress(NotFound):  # it has ended, and the rules with it
            owned.change(f"{table} {{ flags owner; }}\ndelete {table}\n", link.keeper)
    for address in link.addresses:
        routes.mislead(address, interface)
    _file(interface, ".json").unlink(missing_ok=True)


def remove_all(name: DomainName) -> None:
    """Take away all that add() made for the domain."""
    for interface, link in _remembered().items():
        if link.name == name:
            remove(interface)


def reload() -> list[str]:
    """Load the rules once more that are not owned, and that somebody has flushed; returns whose.

    A link is down until they are loaded.
    """
    there = _interfaces()
    files = [file for file in sorted(_folder().glob("[!.]*.nft")) if file.stem in there]
    tables = run(["nft", "list", "tables", "netdev"]).stdout.split() if files else []
    gone = [file for file in files if f"invirt_{file.stem}" not in tables]
    for file in gone:
        routes.close_link(file.stem)
    for file in gone:
        with suppress(FileNotFoundError):  # removed just now
            text = file.read_text()
            run(["nft", "-f", "-"], input=text)
            _reopen(file.stem)
    return [file.stem for file in gone]


def _reopen(interface: str) -> None:
    link = links().get(interface)
    if link and link.led:
        _open(interface, link, soon=True)


def _folder() -> Path:
    return paths.run() / "vif"


def _file(interface: str, kind: str) -> Path:
    return _folder() / f"{interface}{kind}"


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
