"""invirt-web-pages: the pages, by gunicorn, on the socket that systemd passes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication

from invirt.base.cli import SITE, Command

# The socket that systemd passes counts before `bind`.
# Each thread keeps a session of the database: fewer in all than it lets one server have.
SETTINGS = {
    "bind": "unix:/run/invirt-web/pages",
    "workers": 2,
    "threads": 8,
    "worker_class": "gthread",
    "preload_app": True,
    "timeout": 60,
    "limit_request_line": 8190,  # Apache's: what it lets through is answered in words of ours
    "errorlog": "-",
    "loglevel": "warning",
}


class Pages(BaseApplication):  # type: ignore[misc]  # gunicorn has no type hints
    """What gunicorn serves."""

    def load_config(self) -> None:
        """Nothing is read from a command line."""
        for name, value in SETTINGS.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """Once, before the processes that answer are forked."""
        from invirt.web import app, session

        return app.make(session.key(Path(os.environ.get("STATE_DIRECTORY", session.STATE))))


COMMAND = Command(
    name="invirt-web-pages",
    section=8,
    summary="the pages on which people make, see and use their machines",
    description=(
        "Run by systemd, behind Apache, on a socket that Apache alone reaches: who somebody is, Apache\n"
        "says.  Reads views of the database, and says to the remote server, by remctl, what users ask for."
    ),
    files={
        **SITE,
        "/etc/invirt/web/server.pem": "the pages' certificate with its chain, and the key",
        "/etc/invirt/web/http.keytab": "the key of HTTP/NAME",
        "/run/invirt-web-names/names": "whose passwords this server has, a copy of the file's names",
    },
    example="systemctl status invirt-web-pages",
    run=lambda: Pages().run(),
    shown=None,
)
