"""Keys, certificates, secrets and invirt.yaml: files that nobody could write again."""

from __future__ import annotations

import grp
import json
import pwd
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from invirt.backup.archive import Content, Member
from invirt.base.files import replace

PREFIX = "files"
FOLDERS = ("etc/invirt", "var/lib/invirt-setup")
FILES = ("etc/krb5.keytab", "etc/krb5.conf", "etc/postgresql-common/krb5.keytab")
APPLIED = "var/lib/invirt/templates.json"  # what invirt-config has made, and makes again
KEPT = ".before-restore"


def save(content: Content, root: Path, without: Path) -> None:
    """All that there are below root, but what is made of invirt.yaml, and the passphrase."""
    made = _made(root)
    for path in _found(root):
        if path not in made and path != without and path.suffix != ".mako":
            content.files[f"{PREFIX}/{path.relative_to(root)}"] = path


def restore(members: tuple[Member, ...], source: Path, root: Path) -> list[str]:
    """Put them back, each at once; returns those that were there with other contents, and are kept beside."""
    others = []
    for member in members:
        if member.name.startswith(f"{PREFIX}/"):
            path = root / member.name.removeprefix(f"{PREFIX}/")
            content = (source / member.name).read_bytes()
            if path.exists() and path.read_bytes() != content:
                others.append(f"{path}{KEPT}")
                path.rename(others[-1])
            replace(path, content, member.mode, _owner(member.owner))
    return others


def _found(root: Path) -> Iterator[Path]:
    for name in FILES:
        if (root / name).is_file():
            yield root / name
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and not path.is_symlink() and not path.name.endswith(KEPT):
                yield path


def _made(root: Path) -> set[Path]:
    with suppress(FileNotFoundError):
        return {root / name.lstrip("/") for name in json.loads((root / APPLIED).read_text())["sums"]}
    return set()


def _owner(owner: str) -> str:
    """That owner, or root, where a role that is not installed here has it."""
    user, _, group = owner.partition(":")
    try:
        pwd.getpwnam(user)
        grp.getgrnam(group)
    except KeyError:
        return "root:root"
    return owner
