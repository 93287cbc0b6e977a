"""What is rendered for other programs parses back, by their rules, to exactly what was meant."""

from __future__ import annotations

import ast
import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import strategies as st

from invirt.base import conserver, log, validate
from invirt.base.errors import BadInput
from invirt.host import guest, vif, xen
from invirt.host.domain import WORDS, DomainConfig
from invirt.host.rules import rules
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
    assert {word: ast.literal_eval(value) for word, value in parsed.items()} == settings


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
        word: 10 + number for number, word in enumerate(("qmp", "console", "log", *disks, interface))
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
    own = [item.split(", ") for item in re.findall(r"ip6? saddr != \{ ([^}]*) \}", text)]
    assert str(found) in own[found.version == 6]
    other = ["192.0.2.17"] if found.version == 4 else ["2001:db8::17"]
    plain = rules("inv17", "52:54:00:00:00:11", other, name="d_remus")
    assert skeleton(text, interface, domain) == skeleton(plain, "inv17", "d_remus")


@given(NAMES)
def test_conserver(name: str) -> None:
    if not accepted(name, validate.machine_name):
        with pytest.raises(BadInput):
            conserver.console(name, "192.0.2.1")
        return
    line = conserver.console(name, "192.0.2.1")
    assert line.count("\n") == 1
    assert re.findall(r"[^\s;{}]+", line) == ["console", name, "master", "192.0.2.1", "rw", name]


@given(TEXT)
def test_lines_of_the_log(text: str) -> None:
    assert log.one_line(text).isprintable()
