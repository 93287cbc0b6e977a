"""A guest's rules are loaded again as soon as somebody has flushed all tables.

Those of QEMU's guests can't be flushed (network.owned). Of Xen's guests no process of ours is there as long
as they are, whose socket could keep them.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import NoReturn

from invirt.base import log
from invirt.base.errors import InvirtError
from invirt.host.network import vif
from invirt.host.network.owned import NETLINK_NETFILTER

CHANGES = 1 << 6  # the kernel's group of who is told of each change of nftables, NFNLGRP_NFTABLES


def mend() -> NoReturn:
    """Whenever that is so, from now on.  A link whose rules can't be loaded stays down."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as told:
        told.bind((0, CHANGES))
        while True:
            try:
                for interface in vif.reload():
                    log.write(f"the rules of {interface} were gone: they are loaded again", log.WARNING)
            except InvirtError as error:
                log.write(
                    f"a guest's link has no rules, and is down: {error.message} {error.hint}", log.ERROR
                )
            _wait(told)


def _wait(told: socket.socket) -> None:
    """Until something has changed; what is told of it doesn't matter."""
    with suppress(OSError):  # ENOBUFS: more than there is room for
        told.recv(1 << 16)
        while True:
            told.recv(1 << 16, socket.MSG_DONTWAIT)
