"""A small realm of MIT Kerberos on this server, and this server in a realm."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from invirt.base.errors import InvirtError
from invirt.base.files import replace
from invirt.base.process import run
from invirt.setup import rendered
from invirt.setup.steps import Step

UNITS = ("krb5-kdc.service", "krb5-admin-server.service")


@dataclass(frozen=True)
class Realm:
    """A realm whose KDC is here, and where its files are."""

    name: str
    conf: Path = Path("/etc/krb5.conf")
    profile: Path = Path("/etc/krb5kdc/kdc.conf")
    folder: Path = Path("/var/lib/krb5kdc")

    def tool(self, *argv: str, input: str = "", profile: Path | None = None, check: bool = True) -> str:
        """Run one of Kerberos' tools on it; returns what it says.  CommandFailed where it ends badly."""
        env = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C.UTF-8",
            "KRB5_CONFIG": str(self.conf),
            "KRB5_KDC_PROFILE": str(profile or self.profile),
        }
        return run([argv[0], "-r", self.name, *argv[1:]], input=input, env=env, check=check).stdout

    def exists(self) -> bool:
        """Whether its database is there, whole."""
        return (self.folder / "principal").exists() and self.has(f"krbtgt/{self.name}")

    def create(self) -> None:
        """Make its database, in a folder of its own that is then put in place, whole."""
        if self.folder.exists() and any(self.folder.iterdir()):
            raise _anothers(self)
        new = self.folder.with_name(f"{self.folder.name}.invirt-new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700, parents=True)
        profile = new / "kdc.conf"
        profile.write_text(rendered.kdc_conf(self.name, new))
        password = secrets.token_hex(16)  # the stash has what is made of it
        self.tool("kdb5_util", "create", "-s", input=f"{password}\n{password}\n", profile=profile)
        profile.unlink()
        (new / "kadm5.acl").touch(mode=0o600)
        os.sync()
        new.rename(self.folder)

    def has(self, principal: str) -> bool:
        """Whether it knows that principal."""
        said = self.tool("kadmin.local", "list_principals", f"{principal}@{self.name}", check=False)
        return f"{principal}@{self.name}" in said.splitlines()

    def add(self, principal: str) -> None:
        """A principal with a random key; one that is there keeps its own."""
        if not self.has(principal):
            self.tool("kadmin.local", "add_principal", "-randkey", principal)

    def add_user(self, name: str, password: str) -> None:
        """A principal with a password, which no list of processes shows."""
        self.tool("kadmin.local", input=f"add_principal -pw {password} {name}\n")

    def keytab(self, file: Path, *principals: str) -> None:
        """Add the keys that the principals have to a keytab."""
        for principal in principals:
            self.add(principal)
            self.tool("kadmin.local", "ktadd", "-norandkey", "-k", str(file), principal)


def conf(text: str, file: Path = Path("/etc/krb5.conf")) -> Step:
    """krb5.conf names the realm and its KDCs.  One of an administrator's that does so stays."""
    realm, kdcs = named(text), _kdcs(text)

    def done() -> bool:
        had = file.read_text() if file.exists() else ""
        theirs = not had.startswith(rendered.MARK) and named(had) == realm and kdcs <= _kdcs(had)
        return had == text or theirs

    def do() -> None:
        before = file.with_name(f"{file.name}.before-invirt")
        if file.exists() and not before.exists():
            shutil.copy2(file, before)
        replace(file, text.encode())

    return Step(f"{file}: realm {realm}", done, do)


def _kdcs(conf: str) -> set[str]:
    return set(re.findall(r"(?m)^\s*kdc\s*=\s*(\S+)\s*$", conf))


def named(conf: str) -> str:
    """The realm that a krb5.conf names as this server's, or nothing."""
    found = re.search(r"(?m)^\s*default_realm\s*=\s*(\S+)\s*$", conf)
    return found[1] if found else ""


def steps(realm: Realm) -> list[Step]:
    """The realm is made, and its KDC runs, now and after a boot; its packages are there."""
    text = rendered.kdc_conf(realm.name, realm.folder)

    def configured() -> bool:
        return realm.profile.exists() and realm.profile.read_text() == text

    def configure() -> None:
        if (realm.folder / "principal").exists():
            raise _anothers(realm)
        replace(realm.profile, text.encode())

    return [
        Step(f"{realm.profile}", configured, configure),
        Step(f"Kerberos realm {realm.name}", realm.exists, realm.create),
        Step("KDC", lambda: all(map(_runs, UNITS)), _start),
    ]


def _anothers(realm: Realm) -> InvirtError:
    return InvirtError(
        f"{realm.folder} isn't empty, and what is there is not of invirt-setup",
        "If it is your realm, say so: kerberos: {make: false}. If not, move the folder away.",
    )


def _start() -> None:
    run(["systemctl", "enable", *UNITS], timeout=120)
    run(["systemctl", "restart", *UNITS], timeout=120)


def _runs(unit: str) -> bool:
    return all(
        run(["systemctl", word, unit], check=False).returncode == 0 for word in ("is-enabled", "is-active")
    )
