"""The servers that may sign on, each as itself: those that invirt.yaml names, and the hosts.

PostgreSQL 15 can't ask a table who they are, so invirt-database-watch keeps its
list (pg_ident.conf) and a role for each.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invirt import config
from invirt.base.identity import database_role
from invirt.database import roles

IDENT = Path("/var/lib/invirt-database/pg_ident.conf")
HEAD = f"""\
# Who is which role, by Kerberos principal or, through the socket, by login.
# invirt-database-watch writes this: of invirt.yaml, and of the table of hosts.
# MAP    WHO  ROLE
{roles.OWNER}  root  {roles.OWNER}
{roles.OWNER}  postgres  {roles.OWNER}
{roles.OWNER}  invirt-members  {roles.MEMBERS}
{roles.OWNER}  invirt-mail  {roles.MAIL}
"""


@dataclass(frozen=True, order=True)
class Server:
    """One that signs on.  kind: one of roles.SERVERS; hostname: full."""

    kind: str
    hostname: str

    @property
    def role(self) -> str:
        """Its own role, by which it is known to no other."""
        return database_role(self.kind, self.hostname)

    @property
    def principal(self) -> str:
        """As Kerberos knows it."""
        return f"host/{self.hostname}@{config.site.realm}"

    @property
    def lines(self) -> str:
        """Those of pg_ident.conf.  Servers of the version before come as their kind's role."""
        who = f'{roles.OWNER}  "{self.principal}"'
        return f'{who}  "{self.role}"\n{who}  {roles.OWNER}_{self.kind}\n'


def known(hosts: Iterable[str]) -> list[Server]:
    """All servers of the site, hosts by their full names among them."""
    named = {
        "remote": config.remote.servers or (config.remote.hostname,),
        "console": (config.console.hostname,) if config.console.hostname else (),
        "web": (config.web.hostname,) if config.web.hostname else (),
        "dns": config.dns.servers,
        "dhcp": config.dhcp.servers,
        "host": hosts,
    }
    return sorted({Server(kind, hostname) for kind, of_kind in named.items() for hostname in of_kind})


def ident(servers: Iterable[Server]) -> str:
    """What pg_ident.conf is to hold."""
    return HEAD + _standbys() + "".join(server.lines for server in servers)


def _standbys() -> str:
    """Lines for the servers that may have the database, if there are several: each comes as PostgreSQL."""
    if len(config.database.all) < 2:
        return ""
    lines = (f'{roles.OWNER}  "postgres/{one}@{config.site.realm}"' for one in config.database.all)
    return "".join(f"{line}  {roles.STANDBY}\n" for line in lines)


def write(text: str) -> bool:
    """Put text into PostgreSQL's list, whole or not at all; tells whether that changed anything."""
    if IDENT.exists() and IDENT.read_text() == text:
        return False
    new = IDENT.with_suffix(".new")
    new.write_text(text)
    os.chmod(new, 0o644)
    new.rename(IDENT)
    return True


MADE = rf"SELECT rolname FROM pg_roles WHERE rolname ~ '^{roles.OWNER}_({'|'.join(roles.SERVERS)})\.'"
# By its role, or as a server of the version before, whose role is its kind's.
END = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity JOIN pg_stat_gssapi USING (pid)
WHERE usename = ANY (%s) OR gss_authenticated AND principal <> ALL (%s)
"""


def follow(cursor: Any) -> bool:
    """Where there is a copy: keep the list, since the roles come with it; tells whether anything changed."""
    cursor.execute("SELECT hostname FROM hosts")
    changed = write(ident(known(row[0] for row in cursor.fetchall())))
    if changed:
        cursor.execute("SELECT pg_reload_conf()")
    return changed


def settle(cursor: Any, anew: bool = False) -> bool:
    """Make the roles that are missing, let their servers in, and put out who is no server any more.

    Tells whether anything changed.  cursor: of a superuser.  anew: even those that are there.
    """
    cursor.execute("SELECT hostname FROM hosts")
    servers = known(row[0] for row in cursor.fetchall())
    cursor.execute(MADE)
    made = {row[0] for row in cursor.fetchall()}
    for server in servers:
        if anew or server.role not in made:
            cursor.execute(roles.server(server.kind, server.role))
    changed = write(ident(servers))
    gone = made - {server.role for server in servers}
    if not (changed or anew or gone):
        return False
    cursor.execute("SELECT pg_reload_conf()")
    for role in gone:
        cursor.execute(f'DROP ROLE "{role}"')
    cursor.execute(END, (list(gone), [server.principal for server in servers]))
    for kind, limit in roles.SERVERS.items():
        number = sum(server.kind == kind for server in servers)
        cursor.execute(f"ALTER ROLE {roles.OWNER}_{kind} CONNECTION LIMIT {limit * number}")
    return True
