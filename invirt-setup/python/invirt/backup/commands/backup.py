"""invirt-backup: what this server has that can't be made again, in one encrypted file."""

from __future__ import annotations

import socket
import time
from pathlib import Path

from invirt import config
from invirt.backup import archive, database, files, realm
from invirt.backup.archive import Content
from invirt.base.cli import Argument, Command, Option
from invirt.base.errors import BadInput

STATE = Path("/var/lib/invirt-backup")
SECRET = "/etc/invirt/backup.passphrase"
PASSPHRASE = Option(
    "passphrase", f"a file with the passphrase (default: {SECRET})", metavar="FILE", default=SECRET
)


def _run(file: str, passphrase: str) -> str:
    """Write a backup, read it back; returns what is in it, in a line."""
    host, secret = socket.getfqdn(), Path(passphrase)
    stamp = time.strftime("%Y-%m-%dT%H-%M-%SZ", time.gmtime())
    folder = "" if file else config.backup.directory
    if not file and not folder:
        raise BadInput("where to?", hint="Name a file, or set backup.directory in invirt.yaml.")
    to = Path(file) if file else Path(folder, archive.named(host, stamp))
    if not to.parent.is_dir():
        raise BadInput(f"there is no folder {to.parent}", hint=f"mkdir -m 700 {to.parent}")
    content = Content({"server": host, "made": stamp})
    with archive.workshop(STATE) as work:
        files.save(content, Path("/"), secret)
        if realm.is_here():
            realm.save(content, work)
        if database.exists():
            database.save(content, work)
        archive.write(content, to, secret, work)
    if not file:
        archive.tidy(to.parent, host, config.backup.keep)
    return f"{to}: {described(content.files)}, {to.stat().st_size >> 10} KiB; read back, and whole"


def described(names: object) -> str:
    """What is among the members of those names."""
    held = list(names) if isinstance(names, dict | list | tuple) else []
    parts = [word for word, name in (("database", database.DUMP), ("realm", realm.DUMP)) if name in held]
    count = sum(name.startswith(f"{files.PREFIX}/") for name in held)
    return ", ".join([*parts, f"{count} files"])


COMMAND = Command(
    name="invirt-backup",
    section=8,
    summary="Put what this server has that can't be made again into one encrypted file.",
    description=(
        "On the database server the database, where there is a KDC the realm, and on every server\n"
        "keytabs, certificates, secrets and invirt.yaml. Each night by a timer, if\n"
        "backup.directory of invirt.yaml says where to. The file is read back before it has its name;\n"
        "any gpg opens it: gpg --decrypt FILE | tar -x. Machines' disks are not in it."
    ),
    example="invirt-backup /mnt/backups/db.tar.gpg",
    arguments=(
        Argument(
            "file",
            "where to (default: a new one in backup.directory)",
            metavar="FILE",
            required=False,
            default="",
        ),
        PASSPHRASE,
    ),
    files={
        SECRET: "its first line is the passphrase; not in the backup, so keep it elsewhere, too",
        str(STATE): "what is gathered while it runs: root's alone, and empty afterwards",
    },
    run=_run,
)
