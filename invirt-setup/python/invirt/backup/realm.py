"""A Kerberos realm whose KDC is on this server: its database, dumped, its key and its settings."""

from __future__ import annotations

import shutil
from pathlib import Path

from invirt.backup.archive import Content, Member
from invirt.base.errors import NotFound
from invirt.base.files import replace
from invirt.base.process import run

PREFIX = "realm"
DUMP = f"{PREFIX}/dump"
UNITS = ("krb5-kdc.service", "krb5-admin-server.service")
PRINCIPALS = Path("/var/lib/krb5kdc/principal")
FOLDERS = (Path("/etc/krb5kdc"), PRINCIPALS.parent)


def is_here() -> bool:
    """Whether this server has a KDC with a database."""
    return PRINCIPALS.exists()


def save(content: Content, work: Path) -> None:
    """The database as text, and beside it all files that are not the database."""
    dump = work / "realm.dump"
    run(["kdb5_util", "dump", str(dump)], timeout=600)
    content.files[DUMP] = dump
    for folder in FOLDERS:
        for path in sorted(folder.iterdir()):
            if path.is_file() and not path.name.startswith(PRINCIPALS.name):
                content.files[f"{PREFIX}{path}"] = path


def restore(members: tuple[Member, ...], source: Path) -> None:
    """Load it in place of what there is, for a KDC to be started; raises NotFound where there is none."""
    if not shutil.which("kdb5_util"):
        raise NotFound("this server has no KDC", hint="apt-get install krb5-kdc krb5-admin-server")
    for member in members:
        if member.name.startswith(f"{PREFIX}/") and member.name != DUMP:
            path = Path(member.name.removeprefix(PREFIX))
            replace(path, (source / member.name).read_bytes(), member.mode)
    run(["kdb5_util", "load", str(source / DUMP)], timeout=600)


def start() -> None:
    """With what was restored."""
    run(["systemctl", "restart", UNITS[0]], timeout=120)
    run(["systemctl", "try-restart", UNITS[1]], timeout=120, check=False)
