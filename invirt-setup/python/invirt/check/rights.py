"""The database: it lets this server in, lets it read what it must, and hears its hosts."""

from __future__ import annotations

from invirt import config
from invirt.base.errors import InvirtError
from invirt.check.asking import Said
from invirt.check.findings import Findings, error, warning
from invirt.check.server import Server

SETUP = "On the database server: systemctl restart invirt-database-setup invirt-database-watch"


def look(server: Server) -> Findings:
    """As each role; then what invirt.yaml and the table of hosts call this server."""
    where = f"database {config.database.hostname}"
    for role, said in server.database.items():
        if isinstance(said, InvirtError):
            yield error(where, said.message, said.hint or "Look whether PostgreSQL runs there.")
        else:
            yield from _refused(where, role, said)
            yield from _silent(said)
    yield from _named(server)


def _refused(where: str, role: str, said: Said) -> Findings:
    for view, why in said.refused.items():
        yield error(where, f"as {role} this server can't read {view}: {why}", SETUP)


def _silent(said: Said) -> Findings:
    for host, seconds in said.silent.items():
        since = "never said anything" if seconds is None else f"has said nothing for {seconds:.0f} s"
        todo = "Run invirt-check there. If it is to be gone for long: invirt-admin host set NAME --disable"
        yield warning(f"host {host}", f"it {since}: its machines are unknown", todo)


def _named(server: Server) -> Findings:
    """A role that nobody knows this server has is one that nobody calls, and that may not sign on."""
    for role in server.roles:
        if role in server.is_named:
            continue
        if role == "host":
            if isinstance(server.database.get("host"), Said):
                yield error(server.name, "the database knows no host of this name", _add(server.name))
        elif role == "database" and not config.database.hostname.startswith("/"):
            what = f"it has the database, which invirt.yaml says to be on {config.database.hostname}"
            yield error(server.name, what, "Put database.hostname right in invirt.yaml, on all servers.")
        elif role != "database":
            what = f"invirt.yaml doesn't name this server in {role}, though it has that role"
            yield error(server.name, what, f"Name it in the section {role} of invirt.yaml, on all servers.")


def _add(name: str) -> str:
    short = name.partition(".")[0]
    return f"On the database server: invirt-admin host add {short} --hostname {name} --memory …G"
