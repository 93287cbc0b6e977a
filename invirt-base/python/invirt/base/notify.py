"""Word to systemd from a service of Type=notify."""

from __future__ import annotations

import os
import socket


def notify(state: str) -> None:
    """Tell systemd, if it started us (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifying:
            notifying.sendto(state.encode(), "\0" + address[1:] if address[0] == "@" else address)
