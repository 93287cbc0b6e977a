"""Certificates: whose they are, who has signed them, what for, and when they end."""

from __future__ import annotations

import dataclasses
import re
import socket
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from invirt import config
from invirt.base import knocking
from invirt.base.process import run
from invirt.check.findings import Findings, error, warning
from invirt.check.server import Server

SOON = 30 * 86400  # seconds
PAGE = "/etc/invirt/web/server.pem"
HTTPS = 443
PATIENCE = 10  # seconds
# Which systemd gives what they know hosts by, or hosts them, when they start.
READERS = ("invirt-host-consoles.service", "invirt-console-relay.service", "invirt-web-streams.service")
STARTED = ["systemctl", "show", "--timestamp=unix", "--property=ActiveState,ExecMainStartTimestamp", "--"]
NEW = "Make a new one with the authority's key: the administrator's guide, “The console server”."


@dataclass(frozen=True)
class Certificate:
    """One that a role needs, with its key.  ca, purpose: who must have signed it, for what; empty: anyone."""

    path: str
    name: str
    ca: str = ""
    purpose: str = ""
    todo: str = NEW


def wanted(server: Server) -> Iterator[Certificate]:
    """Those of this server's roles."""
    console, roles = config.console, set(server.roles)
    if console.hostname:
        purposes = {"host": "sslserver", "console": "sslclient", "web": "sslclient"}
        for role in sorted(roles & purposes.keys()):
            yield Certificate(console.credentials, server.name, console.ca, purposes[role])
    if "web" in roles and config.web.hostname:
        todo = (
            f"Have a new one made for {config.web.hostname}, and write it with its chain and key into {PAGE}."
        )
        yield Certificate(PAGE, config.web.hostname, todo=todo)


def look(server: Server) -> Findings:
    """Each of them, the authority's own, and the one that the page shows."""
    for certificate in wanted(server):
        file = server.file(certificate.path)
        if not file.exists():
            yield error(certificate.path, "there is no certificate", certificate.todo)
            continue
        yield from _readers(certificate, file)
        yield from _end(certificate.path, file, certificate.todo)
        yield from _name(certificate, file)
        yield from _key(certificate, file)
        if certificate.ca:
            yield from _authority(server, certificate, file)
        if certificate.path == PAGE:
            yield from _shown(server, certificate, file)
        if certificate.path == config.console.credentials:
            yield from _unread(certificate.path, file)


def _shown(server: Server, certificate: Certificate, file: Path) -> Findings:
    """What people's browsers are shown; it was that of the file when Apache last read it."""
    page = f"https://{certificate.name}/"
    todo = "systemctl reload apache2; if that doesn't help, journalctl -u apache2 says why."
    try:
        shown = _served(server.name, certificate.name)
    except OSError as refused:
        yield error(page, f"nobody shows a certificate here: {refused}", todo)
        return
    if shown in file.read_text():
        return
    yield warning(page, f"another certificate is shown there than that of {PAGE}", todo)
    with tempfile.NamedTemporaryFile("w") as kept:
        kept.write(shown)
        kept.flush()
        yield from _end(page, Path(kept.name), todo)
        yield from _name(dataclasses.replace(certificate, path=page, todo=todo), Path(kept.name))


def _served(address: str, name: str) -> str:
    """The certificate (PEM) that whoever has port 443 there shows to one who asks for that name."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE  # it is looked at here
    with (
        socket.create_connection((address, HTTPS), knocking.DEADLINE) as raw,
        tls.wrap_socket(raw, server_hostname=name) as connection,
    ):
        return ssl.DER_cert_to_PEM_cert(connection.getpeercert(binary_form=True) or b"")


def _unread(path: str, file: Path) -> Findings:
    """Who carries consoles is to go by the one in the file, too."""
    for unit in outdated(file):
        what = f"it started before {path} was written, and goes by another"
        yield warning(unit, what, f"systemctl restart {unit}; open consoles connect again by themselves.")


def outdated(file: Path) -> list[str]:
    """The services that run since before the file was what it is."""
    written = int(file.stat().st_mtime)
    told = run([*STARTED, *READERS], timeout=PATIENCE, check=False).stdout.split("\n\n")
    return [unit for unit, lines in zip(READERS, told, strict=False) if _runs_since_before(written, lines)]


def _runs_since_before(written: int, told: str) -> bool:
    since = re.search(r"(?m)^ExecMainStartTimestamp=@([0-9]+)$", told)
    return "ActiveState=active" in told and since is not None and int(since[1]) < written


def _asked(*words: str) -> tuple[bool, str]:
    """Whether openssl agrees, and what it says."""
    done = run(["openssl", *words], timeout=PATIENCE, check=False)
    return done.returncode == 0, (done.stdout + done.stderr).strip()


def _readers(certificate: Certificate, file: Path) -> Findings:
    status = file.stat()
    if status.st_uid != 0 or status.st_mode & 0o077:
        todo = f"chown root:root {certificate.path}; chmod 600 {certificate.path}"
        yield error(certificate.path, "others than root can read the key in it", todo)


def _end(path: str, file: Path, todo: str) -> Findings:
    good, said = _asked("x509", "-noout", "-enddate", "-in", str(file))
    if not good:
        yield error(path, "it holds no certificate that openssl can read", todo)
        return
    end = said.partition("=")[2]
    if not _asked("x509", "-noout", "-checkend", "0", "-in", str(file))[0]:
        yield error(path, f"it ended at {end}", todo)
    elif not _asked("x509", "-noout", "-checkend", str(SOON), "-in", str(file))[0]:
        yield warning(path, f"it ends at {end}", todo)


def _name(certificate: Certificate, file: Path) -> Findings:
    _, said = _asked("x509", "-noout", "-checkhost", certificate.name, "-in", str(file))
    if "does NOT match" in said:
        names = _asked("x509", "-noout", "-subject", "-ext", "subjectAltName", "-in", str(file))[1]
        shown = " ".join(names.split())
        yield error(certificate.path, f"it is not of {certificate.name}, but of: {shown}", certificate.todo)


def _key(certificate: Certificate, file: Path) -> Findings:
    """The key beside it must be the one that it is of."""
    ours = _asked("pkey", "-pubout", "-in", str(file))
    its = _asked("x509", "-noout", "-pubkey", "-in", str(file))
    if its[0] and ours != its:
        yield error(certificate.path, "the key in it is missing, or another certificate's", certificate.todo)


def _authority(server: Server, certificate: Certificate, file: Path) -> Findings:
    ca = server.file(certificate.ca)
    if not ca.exists():
        yield error(
            certificate.ca, "the authority's certificate is missing", "Copy it from where it was made."
        )
        return
    yield from _end(certificate.ca, ca, "Make another authority, and all certificates anew with it.")
    options = ("-partial_chain", "-no_check_time", "-purpose", certificate.purpose)
    good, said = _asked("verify", "-CAfile", str(ca), *options, str(file))
    if not good:
        why = re.sub(r"error [^\n]*: verification failed", "", said)
        shown = next((line for line in why.splitlines() if "error " in line), said.splitlines()[-1])
        what = f"{certificate.ca} doesn't vouch for it as {certificate.purpose}: {shown}"
        yield error(certificate.path, what, certificate.todo)
