"""A volume group of both hosts, made by the commands that the administrator's guide has for it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from invirt_lab.xen_host import PAIR, Xen
from tests.site.guide import block

GROUP = "shared"
CONF, EACH, FIRST, OTHER = BLOCKS = (
    *("corosync.conf", "each host that shares"),
    *("the first host that shares", "each other host that shares"),
)
GUIDES = {"host3": "192.0.2.13", "host4": "192.0.2.14"}
# On one host, until the lock manager knows that the first one of the guide is silent.
DOWN = "timeout 300 sh -c 'until dlm_tool status | grep -q \"fence 1 nodedown\"; do sleep 1; done'"
# An emulated host is silent for longer than a real one: milliseconds.
SLOW = "totem {\n    token: 30000\n"
FILES = """\
printf %s "$0" >/etc/corosync/authkey
chmod 400 /etc/corosync/authkey
printf %s "$1" >/etc/corosync/corosync.conf
"""


def names_of(addresses: Mapping[str, str]) -> dict[str, str]:
    """What the guide's hosts and disks are called here; addresses: of both hosts, by their names."""
    names = {"/dev/sdc": "/dev/vdc"}
    for (guides, theirs), (name, own) in zip(GUIDES.items(), addresses.items(), strict=True):
        names |= {guides: name, theirs: own}
    return names


def share(hosts: tuple[Xen, Xen], addresses: Mapping[str, str] = PAIR) -> None:
    """Both have the lock manager, and the group on their third disk."""
    names = names_of(addresses)
    key, corosync = secrets.token_hex(128), block(CONF, names).replace("totem {\n", SLOW)

    def prepare(xen: Xen) -> None:
        xen.run("sh", "-ec", FILES, key, corosync)
        xen.sh(block(EACH, names))

    with ThreadPoolExecutor(2) as both:
        list(both.map(prepare, hosts))
    first, second = hosts
    first.sh(block(FIRST, names))
    second.sh(block(OTHER, names))
