"""The file itself: a tar archive, encrypted, whose first member tells of all others.

manifest.json has the sum, mode and owner of each; what isn't as it says is refused,
all of it, before anything is done.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from invirt.backup import gpg
from invirt.base.errors import InvirtError

FORMAT = 1
MANIFEST = "manifest.json"
BLOCK = 1 << 20


@dataclass(frozen=True)
class Member:
    """A file of an archive.  name: in the archive; owner: USER:GROUP; sum: SHA-256."""

    name: str
    sum: str
    size: int
    mode: int
    owner: str


@dataclass(frozen=True)
class Manifest:
    """about: the server, when, and what its parts need to know of themselves."""

    about: dict[str, str]
    members: tuple[Member, ...]
    format: int = FORMAT

    def text(self) -> bytes:
        """As it is written."""
        return json.dumps(asdict(self), indent=1).encode()

    @classmethod
    def read(cls, text: bytes) -> Manifest:
        """Raises InvirtError for what is none."""
        try:
            told = json.loads(text)
            if told["format"] == FORMAT:
                return cls(told["about"], tuple(Member(**one) for one in told["members"]))
        except (ValueError, KeyError, TypeError) as error:
            raise InvirtError(f"this is no backup of Invirt's: its {MANIFEST} can't be read") from error
        raise InvirtError(
            f"this backup has the form {told['format']}, this program reads {FORMAT}",
            hint="Install the newest invirt-setup.",
        )


@dataclass
class Content:
    """What is to be archived: files on this server, by the names that they get there."""

    about: dict[str, str] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)

    def member(self, name: str) -> Member:
        """What the manifest says of one."""
        path = self.files[name]
        found = path.stat()
        owner = f"{path.owner()}:{path.group()}"
        return Member(name, digest(path), found.st_size, found.st_mode & 0o7777, owner)


def digest(path: Path) -> str:
    """SHA-256 of a file's contents."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            total.update(block)
    return total.hexdigest()


@contextmanager
def workshop(state: Path) -> Iterator[Path]:
    """A folder that root alone can enter, empty at first, gone at last; what a killed run left goes."""
    work = state / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True, mode=0o700)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def write(content: Content, to: Path, passphrase: Path, work: Path) -> Manifest:
    """Write the archive, read it back, and then give it its name; what is there under it is replaced.

    Raises InvirtError if what is read isn't what was to be written.
    """
    manifest = Manifest(content.about, tuple(content.member(name) for name in sorted(content.files)))
    plain, new = work / "backup.tar", to.with_name(f".{to.name}.new")
    _pack(plain, manifest, content)
    try:
        gpg.encrypt(plain, new, passphrase)
        plain.unlink()
        again = work / "again"
        again.mkdir()
        if read(new, passphrase, again) != manifest:
            raise InvirtError(
                f"{new} doesn't hold what was written to it", hint="Look at the disk: journalctl -k"
            )
        shutil.rmtree(again)
        with new.open("rb") as file:
            os.fsync(file.fileno())
        new.rename(to)
    finally:
        new.unlink(missing_ok=True)
    return manifest


def _pack(plain: Path, manifest: Manifest, content: Content) -> None:
    with tarfile.open(plain, "w") as tar:
        text = manifest.text()
        info = tarfile.TarInfo(MANIFEST)
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text))
        for member in manifest.members:
            info = tarfile.TarInfo(member.name)
            info.size, info.mode = member.size, 0o600
            with content.files[member.name].open("rb") as file:
                tar.addfile(info, file)


def read(archive: Path, passphrase: Path, to: Path) -> Manifest:
    """Unpack an archive into an empty folder, by its members' names.

    Raises InvirtError for whatever isn't as it was written; then nothing of it is to be used.
    """
    plain = to / "backup.tar"
    gpg.decrypt(archive, plain, passphrase)
    try:
        with tarfile.open(plain, "r:") as tar:
            return _unpack(tar, to)
    except (tarfile.TarError, EOFError) as error:
        raise InvirtError(f"{archive} is no backup of Invirt's: {error}") from error
    finally:
        plain.unlink(missing_ok=True)


def _unpack(tar: tarfile.TarFile, to: Path) -> Manifest:
    first = tar.next()
    if first is None or first.name != MANIFEST or not (file := tar.extractfile(first)):
        raise InvirtError(f"this is no backup of Invirt's: it doesn't begin with {MANIFEST}")
    manifest = Manifest.read(file.read())
    wanted = {member.name: member for member in manifest.members}
    while info := tar.next():
        member = wanted.pop(info.name, None)
        file = tar.extractfile(info) if info.isreg() else None
        if member is None or file is None or info.name.startswith("/") or ".." in Path(info.name).parts:
            raise InvirtError(f"the backup holds {info.name!r}, which it doesn't tell of")
        path = to / info.name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as out:
            shutil.copyfileobj(file, out, BLOCK)
        if digest(path) != member.sum:
            raise InvirtError(f"{info.name} isn't what was put into the backup")
    if wanted:
        raise InvirtError(f"the backup lacks {', '.join(sorted(wanted))}")
    return manifest


def named(host: str, stamp: str) -> str:
    """A backup's file: of which server, when."""
    return f"invirt-{host}-{stamp}.tar.gpg"


def tidy(folder: Path, host: str, keep: int) -> list[Path]:
    """Remove all but the newest of a server's backups in folder; returns those that went."""
    found = sorted(folder.glob(named(host, "*")))
    for old in found[:-keep]:
        old.unlink()
    return found[:-keep]
