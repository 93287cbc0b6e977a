"""invirt-database-setup: makes this server's PostgreSQL Invirt's."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError

from invirt import config
from invirt.base import identity
from invirt.base.cli import SITE, Command, Flag
from invirt.base.errors import InvirtError
from invirt.database import server


def _run(migrate_only: bool) -> str | None:
    """Make it so; says if the tables have changed.  A copy has all of that from whom it follows."""
    if identity.hostname() in config.database.copies and not server.is_ours():
        return "this server is to have a copy: invirt-database-standby make"
    if not migrate_only:
        server.configure(server.find_cluster())
    if server.is_copy():
        return None
    if not migrate_only:
        server.create()
    try:
        before, after = server.migrate()
    except DBAPIError as error:
        raise InvirtError(
            f"the tables could not be brought up to date: {error.orig}",
            hint="They are as they were before; programs of the older version still work with them.",
        ) from error
    return f"tables brought from version {before or 'nothing'} to {after}" if before != after else None


COMMAND = Command(
    name="invirt-database-setup",
    section=8,
    summary="Make this server's PostgreSQL Invirt's.",
    description=(
        "Lets PostgreSQL read /etc/invirt/postgresql, makes the roles and the database,\n"
        "and brings its tables up to date, in one transaction. Safe to repeat: it runs\n"
        "when the package is installed or upgraded, and at boot."
    ),
    files={
        **SITE,
        "/etc/invirt/postgresql": "PostgreSQL's settings, made from invirt.yaml",
        "/etc/postgresql-common/krb5.keytab": "the key of postgres/NAME, which PostgreSQL reads",
    },
    example="invirt-database-setup",
    arguments=(Flag("migrate_only", "only bring the tables up to date"),),
    run=_run,
)
