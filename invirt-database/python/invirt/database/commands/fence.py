"""invirt-database-fence: one server at a time has the database."""

from __future__ import annotations

from invirt.base.cli import SITE, Argument, Command, Verb
from invirt.database import fence

COMMAND = Command(
    name="invirt-database-fence",
    section=8,
    summary="See to it that one server at a time has the database.",
    description=(
        "Where database.copies names further servers, it asks them every two seconds, and stops\n"
        "this server's PostgreSQL when another was promoted. It lets none start, either, that a\n"
        "copy has followed, before one of them says that it has no newer database."
    ),
    example="systemctl status invirt-database-fence",
    verbs=(
        Verb("watch", "look for ever", fence.watch, shown=None),
        Verb("may-start", "fail if a cluster of PostgreSQL may not start", fence.may_start,
             (Argument("instance", "which, as systemd has it", metavar="VERSION-NAME", sample="15-main"),)),
    ),
    files={**SITE, "/var/lib/invirt-database/followed": "there since a copy has followed this server"},
)  # fmt: skip
