"""invirt-database-watch: lets servers in, each as itself, and ends what goes beyond bounds."""

from __future__ import annotations

from invirt.base.cli import SITE, Command
from invirt.database import watch

COMMAND = Command(
    name="invirt-database-watch",
    section=8,
    summary="let servers into the database, each as itself, and end what goes beyond bounds",
    description=(
        "Keeps a role of PostgreSQL for each host and each server that invirt.yaml names, and the list by\n"
        "which they sign on: a host that is added or removed is so within a second. Ends servers' sessions\n"
        "whose transactions, statements or locks go beyond bounds, and logs it."
    ),
    files={
        **SITE,
        "/var/lib/invirt-database/pg_ident.conf": "who may sign on as which role",
    },
    example="systemctl status invirt-database-watch",
    run=watch.run,
    shown=None,
)
