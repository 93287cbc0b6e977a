"""Keytabs: who is in them, who can read them, and whether the KDC has the same keys."""

from __future__ import annotations

import grp
import pwd
import tempfile
from dataclasses import dataclass
from pathlib import Path

from invirt import config
from invirt.base.errors import CommandFailed
from invirt.base.process import run
from invirt.check.findings import Finding, Findings, error
from invirt.check.server import Server

PATIENCE = 8  # seconds for the KDC to answer


@dataclass(frozen=True)
class Keytab:
    """One that a role needs; none: every server.  owner, mode: as it should be, or less open."""

    path: str
    service: str
    role: str = ""
    owner: str = "root"
    group: str = "root"
    mode: int = 0o600


KEYTABS = (
    Keytab("/etc/krb5.keytab", "host"),
    Keytab("/etc/postgresql-common/krb5.keytab", "postgres", "database", "postgres", "postgres"),
    Keytab("/etc/invirt/web/http.keytab", "HTTP", "web", group="www-data", mode=0o640),
)


def look(server: Server) -> Findings:
    """Each keytab of this server's roles."""
    with tempfile.TemporaryDirectory(prefix="invirt-check-") as folder:
        cache = f"FILE:{folder}/cache"
        for keytab in KEYTABS:
            if not keytab.role or keytab.role in server.roles:
                yield from _look(server, keytab, cache)


def _look(server: Server, keytab: Keytab, cache: str) -> Findings:
    file, principal = server.file(keytab.path), wanted(server, keytab)
    if not file.exists():
        yield error(keytab.path, "there is no such keytab", renew(keytab, principal))
        return
    yield from _access(keytab, file)
    try:
        entries = _entries(file)
    except CommandFailed as failed:
        yield error(keytab.path, f"it is damaged: {failed.hint or failed.message}", renew(keytab, principal))
        return
    yield from _named(keytab, principal, entries) or _with_kdc(keytab, file, principal, cache)


def wanted(server: Server, keytab: Keytab) -> str:
    """The principal that must be first: callers ask for it by the name that invirt.yaml has."""
    names = {"postgres": config.database.all, "HTTP": (config.web.hostname,)}
    named = names.get(keytab.service, ())
    first = named[0] if named else ""
    known = server.name if server.name in named or not first or first.startswith("/") else first
    return f"{keytab.service}/{known}@{config.site.realm}"


def renew(keytab: Keytab, principal: str) -> str:
    """How a new key comes into it."""
    return (
        f"On this server, as an administrator of the realm: kadmin -q 'ktadd -k {keytab.path} {principal}'; "
        f"then chown {keytab.owner}:{keytab.group} {keytab.path}; chmod {keytab.mode:04o} {keytab.path}"
    )


def _access(keytab: Keytab, file: Path) -> Findings:
    """Who has a server's key is that server."""
    status = file.stat()
    owner, group = pwd.getpwuid(status.st_uid).pw_name, grp.getgrgid(status.st_gid).gr_name
    mode = status.st_mode & 0o777
    if owner != keytab.owner:
        yield error(keytab.path, f"it is {owner}'s", f"chown {keytab.owner} {keytab.path}")
    if mode & ~keytab.mode or mode & 0o070 and group != keytab.group:
        what = f"its mode is {mode:04o}, its group {group}: others can read this server's key"
        yield error(
            keytab.path, what, f"chown :{keytab.group} {keytab.path}; chmod {keytab.mode:04o} {keytab.path}"
        )


def _entries(file: Path) -> list[str]:
    """The principals, in the order of the file."""
    said = run(["klist", "-k", str(file)], timeout=PATIENCE).stdout
    lines = [line.split() for line in said.splitlines()]
    return [words[1] for words in lines if len(words) == 2 and words[0].isdigit()]


def _named(keytab: Keytab, principal: str, entries: list[str]) -> list[Finding]:
    """Programs sign on as the first entry; others are of no harm."""
    if principal not in entries:
        what = f"it holds no key of {principal}, but of {', '.join(sorted(set(entries))) or 'nobody'}"
        return [error(keytab.path, what, renew(keytab, principal))]
    if keytab.service == "host" and entries[0] != principal:
        todo = (
            f"Remove the file, then: kadmin -q 'ktadd -k {keytab.path} {principal}'; others come behind it."
        )
        return [error(keytab.path, f"its first entry is {entries[0]}, not {principal}", todo)]
    return []


def _with_kdc(keytab: Keytab, file: Path, principal: str, cache: str) -> list[Finding]:
    """Sign on with it, and read a ticket for it: the first shows the newest key, the second all."""
    kinit = ["kinit", "-k", "-t", str(file), "-c", cache, principal]
    kvno = ["kvno", "-q", "-c", cache, "-k", str(file), principal]
    for argv in (kinit, kvno):
        try:
            run(argv, timeout=PATIENCE)
        except CommandFailed as failed:
            return [_refusal(keytab, principal, failed)]
    return []


def _refusal(keytab: Keytab, principal: str, failed: CommandFailed) -> Finding:
    """What Kerberos' words mean for an administrator."""
    said = failed.hint or failed.message
    if "skew" in said:
        return error("clock", f"it is too far from the KDC's: {said}", "Set it, and keep it by NTP (chrony).")
    if any(
        words in said for words in ("Cannot contact", "no end within", "Cannot find KDC", "Cannot resolve")
    ):
        todo = "Look whether krb5-kdc runs there, and at the [realms] of /etc/krb5.conf."
        return error(f"KDC of {config.site.realm}", f"it doesn't answer: {said}", todo)
    if "not found in Kerberos database" in said:
        todo = f"kadmin -q 'addprinc -randkey {principal}'; then {renew(keytab, principal)}"
        return error(f"KDC of {config.site.realm}", f"it knows no {principal}", todo)
    return error(keytab.path, f"the KDC has another key of {principal}: {said}", renew(keytab, principal))
