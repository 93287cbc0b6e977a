"""The keys by which this server signs on, and others know it: whose, where, and who may read them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from invirt.base.errors import CommandFailed, InvirtError
from invirt.base.files import replace
from invirt.base.process import run
from invirt.check.keytabs import KEYTABS
from invirt.setup.realm import Realm
from invirt.setup.steps import Step


@dataclass(frozen=True)
class Keytab:
    """A file with the keys of one principal, which come first in it.  owner: USER:GROUP."""

    principal: str
    file: Path
    owner: str = "root:root"
    mode: int = 0o600

    def good(self) -> bool:
        """Whether it is there, the principal's comes first, and who should read it can, and nobody else."""
        return self.holds() and self._is_theirs()

    def holds(self) -> bool:
        """Whether the principal's keys come first in it."""
        try:
            said = run(["klist", "-k", str(self.file)], check=False).stdout
        except CommandFailed:
            return False
        entries = [line.split()[1] for line in said.splitlines() if line.strip()[:1].isdigit()]
        return bool(entries) and entries[0].partition("@")[0] == self.principal

    def _is_theirs(self) -> bool:
        had = self.file.stat()
        return f"{self.file.owner()}:{self.file.group()}" == self.owner and had.st_mode & 0o777 == self.mode

    def put(self, content: bytes) -> None:
        """Have it be this; another one that is there is kept beside it."""
        if self.file.exists() and self.file.read_bytes() != content:
            replace(self.file.with_name(f"{self.file.name}.before-invirt"), self.file.read_bytes(), 0o600)
        replace(self.file, content, self.mode, self.owner)

    def take(self) -> None:
        """Let who should read it do so."""
        shutil.chown(self.file, *self.owner.split(":"))
        os.chmod(self.file, self.mode)


def wanted(name: str, roles: Sequence[str]) -> list[Keytab]:
    """Those of a server with these roles."""
    return [
        Keytab(f"{one.service}/{name}", Path(one.path), f"{one.owner}:{one.group}", one.mode)
        for one in KEYTABS
        if not one.role or one.role in roles
    ]


def made(realm: Realm, principal: str) -> bytes:
    """A keytab of a principal, which is added to the realm if it isn't there."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "keytab")
        realm.keytab(file, principal)
        return file.read_bytes()


def steps(found: Sequence[Keytab], source: Callable[[str], bytes | None]) -> list[Step]:
    """Each is there; those for which the source has nothing, whoever has the realm must bring."""

    def do(keytab: Keytab) -> None:
        if keytab.holds():
            keytab.take()
        elif content := source(keytab.principal):
            keytab.put(content)
        else:
            for one in found:  # ktadd makes no folders
                one.file.parent.mkdir(parents=True, exist_ok=True)
            raise _missing([one for one in found if not one.holds()])

    return [Step(f"{one.file}: {one.principal}", one.good, lambda one=one: do(one)) for one in found]  # type: ignore[misc]


def _missing(found: Sequence[Keytab]) -> InvirtError:
    lines = [
        f"kadmin: addprinc -randkey {one.principal}; ktadd -k {one.file} {one.principal}" for one in found
    ]
    return InvirtError(
        f"keys that the realm's administrator must make: {', '.join(one.principal for one in found)}",
        "\n".join([*lines, "Owners and modes are put right by invirt-setup: run it again then."]),
    )
