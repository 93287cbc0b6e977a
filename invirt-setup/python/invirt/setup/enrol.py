"""The first server's end: answers one who shows a token's secret, and refuses all others alike.

It runs only while there are tokens that nobody has used, as a user who owns these
offers and nothing else. Over TLS: one line of JSON is asked, one is answered, and a
last one says that all of it is on the new server's disk.
"""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from pathlib import Path
from typing import Any

from invirt.base import log
from invirt.base.listening import serve
from invirt.base.notify import notify
from invirt.setup.tokens import PORT, Offers

PROGRAM = "invirt-enrol"
MOST = 8  # connections at once; others wait
PATIENCE = 10  # seconds for a whole handshake, and for each line
PAUSE = 1.0  # seconds before a refusal, whatever was wrong
LONGEST = 4096  # bytes of a line
REFUSED = b'{"refused": true}\n'


def context(certificate: Path, key: Path) -> ssl.SSLContext:
    """The server's side: it shows its certificate, and asks for none."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.load_cert_chain(certificate, key)
    return made


def answer(raw: socket.socket, tls: ssl.SSLContext, offers: Offers, pause: float = PAUSE) -> None:
    """One connection, to its end; OSError where it is cut, or stays silent."""
    raw.settimeout(PATIENCE)
    with tls.wrap_socket(raw, server_side=True) as connection, connection.makefile("rwb") as lines:
        asked = _read(lines)
        bundle = offers.claimed(asked["name"], asked["secret"], asked["claim"]) if asked else None
        if asked is None or bundle is None:
            time.sleep(pause)
            log.write(f"refused {_source(connection)}", log.WARNING, program=PROGRAM)
            lines.write(REFUSED)
            return
        log.write(f"gave {asked['name']} to {_source(connection)}", program=PROGRAM)
        lines.write(json.dumps(bundle).encode() + b"\n")
        lines.flush()
        if lines.readline(LONGEST) == b'{"done": true}\n':
            offers.end(asked["name"], asked["claim"])
            lines.write(b"{}\n")


def _read(lines: Any) -> dict[str, str] | None:
    """What is asked; None for what is no question."""
    try:
        asked = json.loads(lines.readline(LONGEST))
    except (ValueError, RecursionError):
        return None
    wanted = {"name", "secret", "claim"}
    if not isinstance(asked, dict) or set(asked) != wanted:
        return None
    return asked if all(isinstance(value, str) and value for value in asked.values()) else None


def _source(connection: ssl.SSLSocket) -> str:
    try:
        return str(connection.getpeername()[0])
    except OSError:
        return "one who has gone"


def listening(port: int = PORT) -> socket.socket:
    """On all addresses."""
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    return socket.create_server(("", port), family=family, dualstack_ipv6=both)


def work(tls: ssl.SSLContext, offers: Offers, every: float = 1.0) -> None:
    """Answer for as long as anything is offered."""
    descriptor = listening().detach()

    def carry(connection: socket.socket) -> None:
        answer(connection, tls, offers)

    threading.Thread(target=serve, args=(PROGRAM, carry, MOST, descriptor), daemon=True).start()
    notify("READY=1")
    while offers.waiting():
        time.sleep(every)
    time.sleep(every)  # the last one is told that it is done
