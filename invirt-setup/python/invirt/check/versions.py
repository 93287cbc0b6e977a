"""Versions: this server's packages against each other, and its programs against the database's tables."""

from __future__ import annotations

from invirt.base.process import run
from invirt.check.findings import Findings, error, warning
from invirt.check.server import Server
from invirt.database import schema

FORMAT = "${binary:Package} ${Version} ${db:Status-Status} ${db:Status-Want}\n"
UPGRADE = "apt-get update && apt-get full-upgrade"


def look(server: Server) -> Findings:
    """Packages, then tables."""
    yield from _packages(server)
    yield from _tables(server)


def _packages(server: Server) -> Findings:
    admin = f"--admindir={server.file('/var/lib/dpkg')}"
    said = run(["dpkg-query", admin, "--show", f"--showformat={FORMAT}", "invirt-*"], check=False).stdout
    there = [line.split() for line in said.splitlines() if len(line.split()) == 4]
    for package, _, status, want in there:
        if want == "install" and status != "installed":
            yield error(package, f"it is {status}", "dpkg --configure -a")
    versions = {package: version for package, version, status, _ in there if status == "installed"}
    if len(set(versions.values())) > 1:
        shown = ", ".join(f"{package} {version}" for package, version in sorted(versions.items()))
        yield error("packages", f"they are of different versions: {shown}", UPGRADE)


def _tables(server: Server) -> Findings:
    """A database may be newer than who asks it, by one version; never older."""
    newest = schema.newest() or ""
    for said in server.heard:
        if said.version is None or said.version < newest:
            what = (
                f"its tables are of version {said.version or 'unknown'}, this server's programs want {newest}"
            )
            yield error("database", what, f"On the database server: {UPGRADE}, and invirt-database-setup.")
            return
        if said.version > newest:
            what = f"its programs are made for tables of version {newest}, the database has {said.version}"
            yield warning("this server", what, f"Here: {UPGRADE}")
            return
