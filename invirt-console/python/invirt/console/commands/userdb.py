"""invirt-userdb: machines as logins, for libnss-systemd."""

from __future__ import annotations

import grp
from pathlib import Path

from invirt import config
from invirt.base.cli import Argument, Command
from invirt.base.errors import NotFound
from invirt.console.userdb import DEADLINE, GROUP, PROGRAM, SERVICE, UserDB
from invirt.console.varlink import Server
from invirt.database import connection
from invirt.database.asker import Asker

SOCKET = f"/run/systemd/userdb/{SERVICE}"


def _gid() -> int:
    try:
        return grp.getgrnam(GROUP).gr_gid
    except KeyError:
        raise NotFound(f"there is no group {GROUP}", hint=f"addgroup --system {GROUP}") from None


def _run(socket: Path) -> None:
    connection.role = "console"
    first = config.console.uid_base
    database = UserDB(Asker(DEADLINE), range(first, first + config.console.uid_count), _gid())
    with Server(socket, database.answer) as server:
        server.serve_forever()


COMMAND = Command(
    name=PROGRAM,
    section=8,
    summary="make each machine a login",
    description=(
        "Answers libnss-systemd's questions from the database: each machine is a login of its own name,\n"
        "whose home is in /consolefs and whose shell is its serial console.  An answer takes a second at\n"
        "most; what is not about a machine is answered without the database."
    ),
    example="getent passwd remus",
    arguments=(
        Argument(
            "socket",
            f"unless systemd passes one (default: {SOCKET})",
            Path,
            "SOCKET",
            required=False,
            default=Path(SOCKET),
        ),
    ),
    run=_run,
    shown=None,
)
