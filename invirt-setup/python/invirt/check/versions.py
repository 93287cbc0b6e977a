"""Versions: of this server's packages and programs, against each other and against the database's."""

from __future__ import annotations

from invirt.base.process import run
from invirt.check.findings import Finding, Findings, error, warning
from invirt.check.server import Server
from invirt.database import schema

FORMAT = "${binary:Package} ${Version} ${db:Status-Status} ${db:Status-Want}\n"
UPGRADE = "apt-get update && apt-get full-upgrade"
THERE = f"On the database server: {UPGRADE}, and invirt-database-setup."


def look(server: Server) -> Findings:
    """Packages, among themselves; then what the database tells of its own server."""
    there = _known(server)
    for package, _, status, want in there:
        if want == "install" and status != "installed":
            yield error(package, f"it is {status}", "dpkg --configure -a")
    versions = {package: version for package, version, status, _ in there if status == "installed"}
    if len(set(versions.values())) > 1:
        shown = ", ".join(f"{package} {version}" for package, version in sorted(versions.items()))
        yield error("packages", f"they are of different versions: {shown}", UPGRADE)
    yield from list(_tables(server)) or _in_step(server, set(versions.values()))


def _known(server: Server) -> list[list[str]]:
    """Name, version, state and wanted state of each package of ours, as dpkg has them."""
    admin = f"--admindir={server.file('/var/lib/dpkg')}"
    said = run(["dpkg-query", admin, "--show", f"--showformat={FORMAT}", "invirt-*"], check=False).stdout
    return [line.split() for line in said.splitlines() if len(line.split()) == 4]


def _tables(server: Server) -> Findings:
    """A database may be newer than who asks it, by one version; never older."""
    newest = schema.newest() or ""
    for said in server.heard:
        if said.version is None or said.version < newest:
            what = (
                f"its tables are of version {said.version or 'unknown'}, this server's programs want {newest}"
            )
            yield error("database", what, THERE)
            return
        if said.version > newest:
            what = f"its programs are made for tables of version {newest}, the database has {said.version}"
            yield warning("this server", what, f"Here: {UPGRADE}")
            return


def _in_step(server: Server, versions: set[str]) -> Findings:
    """All servers have the version of the database server, which is upgraded first."""
    theirs = next((said.packages for said in server.heard if said.packages), "")
    if theirs:
        yield from (_apart(ours, theirs) for ours in sorted(versions - {theirs}))


def _apart(ours: str, theirs: str) -> Finding:
    what = f"they are of version {ours}, those of the database server of {theirs}"
    if run(["dpkg", "--compare-versions", ours, "lt", theirs], check=False).returncode == 0:
        return warning("packages", what, f"Here: {UPGRADE}")
    return error("packages", what, THERE)
