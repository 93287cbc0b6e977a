"""Authorities that are made once, on the first server, and the certificates that they sign."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from invirt.base.files import replace
from invirt.base.process import run
from invirt.check.certificates import outdated
from invirt.setup.steps import Step

STATE = Path("/var/lib/invirt-setup")
CONSOLES = Path("/etc/invirt/console")
PAGE = Path("/etc/invirt/web/server.pem")
LASTS = 800  # days; what browsers take at the most is 825
RENEWED = 60 * 86400  # seconds before its end at which a certificate is made anew


@dataclass(frozen=True)
class Authority:
    """Signs certificates of one kind; ca.key never leaves the folder."""

    name: str
    folder: Path

    @property
    def certificate(self) -> Path:
        """Its own."""
        return self.folder / "ca.pem"

    def exists(self) -> bool:
        """Whether it was made."""
        return self.certificate.exists()

    def make(self) -> None:
        """Make it, in a folder that is then put in place, whole."""
        new = self.folder.with_name(f"{self.folder.name}.invirt-new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700, parents=True)
        key = ["-keyout", str(new / "ca.key"), "-out", str(new / "ca.pem")]
        run(["openssl", *_NEW, "-days", "3650", "-subj", f"/CN={self.name}", *key])
        os.sync()
        new.rename(self.folder)

    def issue(self, name: str, usages: Sequence[str]) -> str:
        """A certificate of that name for these usages, and its key (PEM)."""
        with tempfile.TemporaryDirectory() as folder:
            crt, key = Path(folder, "crt"), Path(folder, "key")
            signed = ["-CA", str(self.certificate), "-CAkey", str(self.folder / "ca.key")]
            extensions = [
                "basicConstraints=critical,CA:FALSE",
                f"subjectAltName=DNS:{name}",
                f"extendedKeyUsage={','.join(usages)}",
            ]
            more = [word for extension in extensions for word in ("-addext", extension)]
            files = ["-keyout", str(key), "-out", str(crt)]
            run(["openssl", *_NEW, "-days", str(LASTS), "-subj", f"/CN={name}", *more, *files, *signed])
            return crt.read_text() + key.read_text()


_NEW = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc")
CONSOLES_AUTHORITY = Authority("Invirt consoles", STATE / "consoles")
PAGES_AUTHORITY = Authority("Invirt pages", STATE / "pages")


@dataclass(frozen=True)
class Certificate:
    """One that a server shows, with its key, in a file that is root's."""

    authority: Authority
    file: Path
    usages: tuple[str, ...]

    def good(self, name: str) -> bool:
        """Whether it is there: signed by the authority, of that name, for these usages, not about to end."""
        if not self.file.exists():
            return False
        told = run(["openssl", "x509", "-in", str(self.file), "-noout", "-text"], check=False).stdout
        ends = run(
            ["openssl", "x509", "-in", str(self.file), "-noout", "-checkend", str(RENEWED)], check=False
        )
        signed = run(
            ["openssl", "verify", "-CAfile", str(self.authority.certificate), str(self.file)], check=False
        )
        usages = [_SHOWN[usage] for usage in self.usages]
        return (
            not (ends.returncode or signed.returncode)
            and f"DNS:{name}\n" in told
            and f"{', '.join(usages)}\n" in told
            and self.file.stat().st_mode & 0o777 == 0o600
        )

    def put(self, text: str) -> None:
        """Have it be this; root's alone."""
        replace(self.file, text.encode(), 0o600, "root:root")


def read(roles: Sequence[str]) -> list[Step]:
    """Who carries consoles goes by the certificate that is there; open ones connect again by themselves."""

    def step(file: Path) -> Step:
        def restart() -> None:
            run(["systemctl", "restart", *outdated(file)], timeout=120)

        return Step(f"services have read {file}", lambda: not outdated(file), restart)

    return [step(one.file) for one in wanted(roles) if one.authority == CONSOLES_AUTHORITY]


_SHOWN = {"serverAuth": "TLS Web Server Authentication", "clientAuth": "TLS Web Client Authentication"}


def wanted(roles: Sequence[str]) -> list[Certificate]:
    """Those of a server with these roles."""
    host = ("serverAuth", "clientAuth") if "host" in roles else ()
    client = ("clientAuth",) if {"console", "web"} & set(roles) and not host else ()
    consoles = Certificate(CONSOLES_AUTHORITY, CONSOLES / "server.pem", (*host, *client))
    page = Certificate(PAGES_AUTHORITY, PAGE, ("serverAuth",))
    return [*([consoles] if consoles.usages else []), *([page] if "web" in roles else [])]


def steps(name: str, roles: Sequence[str]) -> list[Step]:
    """The authorities, and this server's certificates, on the first server."""
    found = [
        Step(f"authority of certificates: {one.name}", one.exists, one.make)
        for one in (CONSOLES_AUTHORITY, PAGES_AUTHORITY)
    ]
    ca = CONSOLES / "ca.pem"

    def known() -> bool:
        return ca.exists() and ca.read_bytes() == CONSOLES_AUTHORITY.certificate.read_bytes()

    found.append(Step(f"{ca}", known, lambda: replace(ca, CONSOLES_AUTHORITY.certificate.read_bytes())))
    for one in wanted(roles):
        found.append(_step(one, name))
    return found


def _step(one: Certificate, name: str) -> Step:
    return Step(
        f"{one.file}: certificate of {name}",
        lambda: one.good(name),
        lambda: one.put(one.authority.issue(name, one.usages)),
    )
