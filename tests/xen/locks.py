"""A volume group of both hosts, made by the commands that the administrator's guide has for it."""

from __future__ import annotations

import re
import secrets
from concurrent.futures import ThreadPoolExecutor

from invirt_lab.xen_host import PAIR, Xen
from tests.site.guide import BLOCK, GUIDE

GROUP = "shared"
CONF, EACH, FIRST, OTHER = BLOCKS = (
    *("corosync.conf", "each host that shares"),
    *("the first host that shares", "each other host that shares"),
)
NAMES = {"/dev/sdc": "/dev/vdc"}
for guides, address, (name, own) in zip(
    ("host3", "host4"), ("192.0.2.13", "192.0.2.14"), PAIR.items(), strict=True
):
    NAMES |= {guides: name, address: own}
# An emulated host is silent for longer than a real one: milliseconds.
SLOW = "totem {\n    token: 30000\n"
FILES = """\
printf %s "$0" >/etc/corosync/authkey
chmod 400 /etc/corosync/authkey
printf %s "$1" >/etc/corosync/corosync.conf
"""


def block(who: str) -> str:
    """Lines of the guide, with the names that its hosts have here."""
    found = next(one["text"] for one in BLOCK.finditer(GUIDE.read_text()) if one["who"] == who)
    text = re.sub(r"^    ", "", found, flags=re.M)
    return re.sub("|".join(map(re.escape, NAMES)), lambda one: NAMES[one[0]], text)


def share(hosts: tuple[Xen, Xen]) -> None:
    """Both have the lock manager, and the group on their third disk."""
    key, corosync = secrets.token_hex(128), block(CONF).replace("totem {\n", SLOW)

    def prepare(xen: Xen) -> None:
        xen.run("sh", "-ec", FILES, key, corosync)
        xen.sh(block(EACH))

    with ThreadPoolExecutor(2) as both:
        list(both.map(prepare, hosts))
    first, second = hosts
    first.sh(block(FIRST))
    second.sh(block(OTHER))
