"""invirt-database-standby: copies of the database, on further servers."""

from __future__ import annotations

from invirt.base import validate
from invirt.base.cli import SITE, Command, Flag, Option, Table, Verb
from invirt.database import promotion, server, standby


def _alone() -> str:
    server.FOLLOWED.unlink(missing_ok=True)
    return "PostgreSQL starts here without asking others, until a copy follows again"


COLUMNS = {
    "server": "server",
    "has": "has",
    "bytes behind": "bytes_behind",
    "seconds behind": "seconds_behind",
    "": "word",
}
VERBS = (
    Verb("make", "make this server's PostgreSQL a copy of the database, which follows it", standby.make,
         (Flag("yes", "even if this server has a database of its own, which is lost"),), changes=True),
    Verb("status", "show which server has the database, which have copies, and how far behind",
         promotion.status, shown=Table(COLUMNS)),
    Verb("promote", "make this server's copy the database; whoever has it stops first", promotion.promote,
         (Option("lost", "a server that is known not to run: what it alone has is lost", validate.host_name,
                 "HOST", several=True, sample="db.example.org"),), changes=True,
         example="--lost db.example.org"),
    Verb("alone", "let this server's database start although none of its copies answers", _alone,
         changes=True),
)  # fmt: skip
COMMAND = Command(
    name="invirt-database-standby",
    section=8,
    summary="Keep copies of the database on further servers, and make one the database.",
    description=(
        "Run it as root on a server that database.copies or database.hostname names. A copy\n"
        "follows the database by PostgreSQL's streaming replication. Each verb may be run\n"
        "again, and killed at any moment."
    ),
    example="invirt-database-standby make\ninvirt-database-standby promote --lost db.example.org",
    verbs=VERBS,
    files={
        **SITE,
        "/etc/postgresql-common/krb5.keytab": "the key of postgres/NAME, as which copies sign on",
        "/var/lib/invirt-database/followed": "there since a copy has followed this server",
    },
)
