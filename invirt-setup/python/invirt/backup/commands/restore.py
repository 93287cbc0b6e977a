"""invirt-restore: a server becomes what it was when a backup was made."""

from __future__ import annotations

from pathlib import Path

from invirt import config
from invirt.backup import archive, database, files, realm
from invirt.backup.archive import Manifest
from invirt.backup.commands.backup import PASSPHRASE, STATE, described
from invirt.base.cli import Argument, Command, Flag, say
from invirt.base.errors import Busy, CommandFailed
from invirt.base.process import run

NEXT = """\
Now, on a remote server: invirt-reconcile (without --fix)
It tells of guests and disks that the backup is too old to know, and touches none of them. Such a
guest runs on, and nobody can use its name meanwhile; end it on its host (xm destroy d_NAME) once
its owner has what is in it. Machines that the backup holds are booted only where all hosts have
said that they run nowhere."""


def _run(file: str, passphrase: str, check: bool, over: bool) -> str:
    """Read all of it, refuse what isn't whole, and what would be written over; then put it back."""
    with archive.workshop(STATE) as work:
        manifest = archive.read(Path(file), Path(passphrase), work)
        names = [member.name for member in manifest.members]
        told = f"{manifest.about['server']} of {manifest.about['made']}: {described(names)}"
        if check:
            return f"{told}; whole"
        say(told)
        _refuse(manifest, names, over)
        _restore(manifest, names, work)
    return f"restored: {told}" + (f"\n{NEXT}" if database.DUMP in names else "")


def _refuse(manifest: Manifest, names: list[str], over: bool) -> None:
    """Before anything is changed."""
    hint = "Give --over if that is what you want: what is there is kept under another name."
    if database.DUMP in names:
        database.fits(manifest.about)
        if not over and Path("/etc/invirt/invirt.yaml").exists() and database.lives():
            raise Busy("the database on this server has machines or hosts in it", hint=hint)
    if realm.DUMP in names and realm.is_here() and not over:
        raise Busy(f"this server has a realm already, in {realm.PRINCIPALS.parent}", hint=hint)


def _restore(manifest: Manifest, names: list[str], work: Path) -> None:
    for kept in files.restore(manifest.members, work, Path("/")):
        say(f"what was there is {kept} now")
    if realm.DUMP in names:
        say("restoring the realm")
        realm.restore(manifest.members, work)
        realm.start()
    say("applying invirt.yaml")
    applied = run(["invirt-config", "apply"], timeout=600, check=False)
    if applied.returncode not in (0, 10):
        raise CommandFailed("invirt.yaml of the backup can't be applied", hint=applied.stderr.strip())
    config.reload()
    if database.DUMP in names:
        say("restoring the database")
        if old := database.restore(work):
            say(f"the one before is {old} now; to remove it: runuser -u postgres -- dropdb {old}")


COMMAND = Command(
    name="invirt-restore",
    section=8,
    summary="Make this server what it was when a backup of invirt-backup was made.",
    description=(
        "On a server of the same name on which its roles are installed. All of the file is read and\n"
        "compared with its sums before anything is done. A database with machines in it, or a realm, is\n"
        "not replaced unless --over is given. If it is killed, run it again."
    ),
    example="invirt-restore /mnt/backups/db.tar.gpg",
    arguments=(
        Argument("file", "of invirt-backup", metavar="FILE"),
        PASSPHRASE,
        Flag("check", "say what is in it, and whether it is whole; change nothing"),
        Flag("over", "replace a database that lives, and a realm"),
    ),
    files={str(STATE): "what is read while it runs: root's alone, and empty afterwards"},
    run=_run,
)
