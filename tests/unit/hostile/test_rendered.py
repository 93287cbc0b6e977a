"""What is rendered for other programs parses back, by their rules, to exactly what was meant."""

from __future__ import annotations

import ast
import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import strategies as st

from invirt.base import log, tables, validate
from invirt.base.cli import Command, manual
from invirt.base.errors import BadInput
from invirt.host.domain import WORDS, DomainConfig
from invirt.host.network import vif
from invirt.host.network.rules import rules
from invirt.host.qemu import guest
from invirt.host.xen import config as xen
from invirt.remote import remconffs
from tests.examples import given

NAME, PRINCIPAL = r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", r"[A-Za-z0-9._-]{1,9}(/[a-z.]{1,9})?@[A-Z0-9.-]{1,9}"
TEXT = st.text(max_size=30) | st.text(alphabet="aZ09 .-_/@#:,;=*?\"'\\\n\t\0${}[]()<>|&`", max_size=30)
NAMES = st.from_regex(NAME, fullmatch=True) | TEXT | st.sampled_from(["ALL", "EMPTY", "help", "remus\nx"])
PRINCIPALS = st.from_regex(PRINCIPAL, fullmatch=True) | TEXT | st.sampled_from(
    ["ANYUSER", "include /etc/passwd", "file:/etc/passwd", "deny:a@B", "a@B\nANYUSER", "a@B c@D", "# a@B"]
)  # fmt: skip
GOOD_NAMES = st.from_regex(NAME, fullmatch=True)
PATHS = st.from_regex(r"/[A-Za-z0-9._/+-]{1,20}", fullmatch=True)  # file_path of the database
PRINTABLE = st.text(max_size=30).filter(lambda text: not re.search(r"[\x00-\x1f\x7f-\x9f]", text))


def accepted(value: str, check: Callable[[str], str]) -> bool:
    try:
        return check(value) == value
    except BadInput:
        return False


def remctl_lines(text: bytes) -> list[list[str]]:
    """As remctld reads conf and ACL files: words between blanks, a backslash joins lines, # is a comment."""
    lines = text.decode().replace("\\\n", " ").splitlines()
    return [line.split() for line in lines if line.strip() and not line.lstrip().startswith("#")]


@given(st.dictionaries(NAMES, st.lists(PRINCIPALS, max_size=4, unique=True), max_size=5))
def test_remconffs(access: dict[str, list[str]]) -> None:
    files = remconffs.render(1, access.items()).files
    machines = [name for name in access if accepted(name, validate.machine_name)]
    program, folder = remconffs.CONTROL, f"{remconffs.MOUNTPOINT}/acl"
    meant = [["control", name, program, f"{folder}/{name}"] for name in machines]
    assert remctl_lines(files["/conf"]) == meant
    assert set(files) == {"/conf", "/acl/ALL"} | {f"/acl/{name}" for name in machines}
    for name in machines:
        who = [[one] for one in access[name] if accepted(one, validate.principal)]
        assert remctl_lines(files[f"/acl/{name}"]) == [*who, ["include", remconffs.WEB]]
    assert remctl_lines(files["/acl/ALL"]) == [["include", remconffs.WEB]]


SETTINGS = st.dictionaries(
    st.sampled_from(sorted(WORDS)), st.integers() | TEXT | st.lists(TEXT, max_size=3), max_size=6
)


@given(SETTINGS)
def test_xl_configurations(settings: dict[str, Any]) -> None:
    """xl.cfg(5): KEY = VALUE; integers, "strings" without escapes, [ lists ]: Python reads them the same."""
    try:
        text = xen.rendered(DomainConfig(settings))
    except BadInput:
        return
    parsed = dict(line.split(" = ", 1) for line in text.splitlines())
    config = DomainConfig(settings)
    assert {word: ast.literal_eval(value) for word, value in parsed.items()} == xen.words(config)


@given(SETTINGS)
def test_configurations_of_domains_on_disk(settings: dict[str, Any]) -> None:
    assert DomainConfig.from_json(DomainConfig(settings).json()).settings == settings


def option(argv: list[str], name: str) -> list[str]:
    """The values of each option called name; an option takes the next word whatever it is."""
    return [argv[index + 1] for index in range(1, len(argv) - 1) if argv[index] == name]


def pairs(text: str) -> Mapping[str, str]:
    """QEMU's key=value,key=value; the first may be a value alone."""
    first, *more = text.split(",")
    return {"": first} | dict(word.split("=", 1) for word in more)


@given(
    GOOD_NAMES,
    PATHS,
    PRINTABLE,
    st.lists(st.sampled_from(["hda", "hdb", "hdz"]), unique=True),
    st.integers(1, 2**31 - 1),
    st.integers(0, 2**24 - 1),
)
def test_qemu(name: str, kernel: str, append: str, disks: list[str], nic: int, tail: int) -> None:
    """From rows of the database to the words that QEMU gets, as /etc/xen/invirt-database makes them."""
    mac = f"00:16:3e:{tail >> 16:02x}:{tail >> 8 & 255:02x}:{tail & 255:02x}"
    interface = vif.interface(nic)
    config = DomainConfig(
        {
            "name": f"d_{name}",
            "memory": 128,
            "kernel": kernel,
            "extra": f"{append} hostname={name}",
            "disk": [f"format=raw, vdev={disk}, access=rw, target=/srv/v/d_{name}_{disk}" for disk in disks],
            "vif": [f"mac={mac}, ip=192.0.2.7, vifname={interface}, script=vif-invirtroute"],
        }
    )
    descriptors = {
        word: 10 + number
        for number, word in enumerate(("qmp", "events", "console", "log", *disks, interface))
    }
    argv = guest.arguments(config, "tcg", descriptors)
    assert option(argv, "-name") == [f"guest=d_{name}"]
    assert option(argv, "-kernel") == [kernel]
    assert option(argv, "-append") == [f"{append} hostname={name}"]
    drives = [pairs(word) for word in option(argv, "-blockdev")]
    assert [drive["node-name"] for drive in drives] == disks
    assert [drive["file.filename"] for drive in drives] == [
        f"/dev/fdset/{descriptors[disk]}" for disk in disks
    ]
    (net,) = [pairs(word) for word in option(argv, "-netdev")]
    assert (net["id"], net["fd"]) == (interface, str(descriptors[interface]))
    assert [pairs(word)["mac"] for word in option(argv, "-device") if "net" in word] == [mac]
    assert [disk["target"] for disk in config.devices("disk")] == [
        f"/srv/v/d_{name}_{disk}" for disk in disks
    ]


INTERFACES = TEXT | st.sampled_from(["inv17", "inv2147483647", "inv1-emu"])
MACS = TEXT | st.from_regex(r"([0-9a-f]{2}:){5}[0-9a-f]{2}", fullmatch=True)
SCOPES = st.ip_addresses(v=6).flatmap(lambda ip: TEXT.map(lambda scope: f"{ip}%{scope}"))
ADDRESSES = TEXT | st.ip_addresses().map(str) | SCOPES


def skeleton(text: str, interface: str, domain: str) -> list[str]:
    """The rules without what is the guest's own: its interface, its name, and numbers."""
    for own in (f"invirt {domain} {interface} refused", f"invirt_{interface}", f'"{interface}"'):
        text = text.replace(own, "OWN")
    return [re.sub(r"[0-9a-f:.x]*[0-9:][0-9a-f:.x]*", "N", line) for line in text.splitlines()]


@given(INTERFACES, MACS, ADDRESSES, GOOD_NAMES | TEXT)
def test_nftables(interface: str, mac: str, address: str, domain: str) -> None:
    """Only with an interface, a MAC and an address are there rules, and they are the same for all guests."""
    try:
        text = rules(interface, mac, [address], name=domain)
    except BadInput as error:
        assert error.message.isprintable()
        return
    found = ipaddress.ip_address(address)
    assert re.findall(r'hook ingress device "([^"\n]*)"', text) == [interface]
    assert re.findall(r"ether saddr != (\S+) ", text) == [mac]
    assert str(found) in sources(text)[found.version]
    other = ["192.0.2.17"] if found.version == 4 else ["2001:db8::17"]
    plain = rules("inv17", "52:54:00:00:00:11", other, name="d_remus")
    assert skeleton(text, interface, domain) == skeleton(plain, "inv17", "d_remus")


def sources(text: str) -> dict[int, set[str]]:
    """The addresses that the rules let a guest send from, by the version of IP."""
    (own,), (own6,) = (re.findall(rf"{ip} saddr != \{{ ([^}}]*) \}} counter", text) for ip in ("ip", "ip6"))
    return {4: set(own.split(", ")), 6: set(own6.split(", "))}


NETWORKS = ADDRESSES | st.builds("{}/{}".format, st.ip_addresses(), st.integers(0, 130))


@given(st.lists(ADDRESSES, max_size=4), st.lists(NETWORKS, max_size=4))
def test_addresses_in_nftables(addresses: list[str], servers: list[str]) -> None:
    """A guest has its addresses and no others; each server is among those that are closed."""
    try:
        text = rules("inv17", "52:54:00:00:00:11", addresses, servers=servers)
    except BadInput as error:
        assert error.message.isprintable()
        return
    own = sources(text)
    meant = {4: set[str](), 6: {"fe80::5054:ff:fe00:11"}}
    for address in map(ipaddress.ip_address, addresses):
        meant[address.version].add(str(address))
    assert own == {4: meant[4] or {"0.0.0.0"}, 6: meant[6]}
    lists = re.findall(r"ip6? daddr \{ ([^}]*) \} goto to_server", text)
    closed = [ipaddress.ip_network(one) for items in lists for one in items.split(", ")]
    for server in map(ipaddress.ip_network, servers):
        assert any(server.version == one.version and server.subnet_of(one) for one in closed)  # type: ignore[arg-type]


@given(TEXT)
def test_lines_of_the_log(text: str) -> None:
    assert log.one_line(text).isprintable()


@given(TEXT | st.sampled_from([".TH x", "'br", "\\fBx", "-", "a\n.b\n'c", "\u2028.x"]))
def test_manual_pages(text: str) -> None:
    """What a Command says of itself stands in its page as it is, and is no request to roff."""
    command = Command("invirt-x", 8, "Do x.", text, text)
    page = manual.page(command)
    described = page.split("\n.SH DESCRIPTION\n", 1)[1].split("\n.SH OPTIONS\n", 1)[0]
    example = page.split("\n.EX\n", 1)[1].rsplit("\n.EE\n", 1)[0]
    for shown in (described, example):
        lines = shown.split("\n")
        assert not any(line.startswith((".", "'")) for line in lines)
        read = "\n".join(line.removeprefix("\\&").replace("\\-", "-").replace("\\e", "\\") for line in lines)
        assert read == "\n".join(text.splitlines())


CELLS = st.text(max_size=12).filter(str.isprintable) | st.none() | st.integers()


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=4))
def test_tables(rows: list[tuple[object, ...]]) -> None:
    """A line a row, its cells at the same places in all; as JSON, the very same values."""
    lines = tables.table(("A", "B", "C"), rows).split("\n")
    assert len(lines) == len(rows) + 2
    widths = [max([1, *(len(shown(row[column])) for row in rows)]) for column in range(3)]
    for line, row in zip(lines[1:], rows, strict=False):
        at = 0
        for cell, width in zip(map(shown, row), widths, strict=True):
            assert line[at : at + width].ljust(width) in (cell.ljust(width), cell.rjust(width))
            at += width + 2
    assert json.loads(tables.as_json(rows)) == [list(row) for row in rows]


def shown(cell: object) -> str:
    return "-" if cell in (None, "") else str(cell)
