"""AFS lockers: who may administer a folder (the right `a` of its access list).

Asked by `fs listacl` and `pts membership`, each with a deadline.  Groups are resolved by the protection
server, groups in groups too; a negative right takes from whoever has it, by name or by a group.
`pts` exits with 0 whatever happens: what counts is the line that its answer begins with, and silence on
stderr, where it also says that it isn't signed on: then others could have given the answer.  `fs` doesn't say
so, not even when the tokens have expired, so `pts` is asked first, whatever the access list is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from invirt import config
from invirt.base.errors import BadInput, CommandFailed
from invirt.base.process import run

FS, PTS = ("/usr/bin/fs",), ("/usr/bin/pts",)
ADMINISTER = "a"
ANYBODY = "system:anyuser"
EVERYBODY = frozenset((ANYBODY, "system:authuser"))
ENTRY = re.compile(r"  (\S+) ([rlidwkaA-H]*)")
HEAD = re.compile(r"(?:Expanded )?(Members of|Groups) (\S+) \(id: (-?[0-9]+)\) (are|is a member of):")
NUMBER = re.compile(r"-?[0-9]+")  # of somebody who was deleted
ADDRESS = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){3}")  # a computer's, and no user
HOST = "rcmd."  # how AFS calls host/


@dataclass(frozen=True)
class AccessList:
    """Rights by who has them: those that are given, and those that are taken."""

    given: Mapping[str, str]
    taken: Mapping[str, str]


def members(name: str) -> Iterable[str]:
    """Principals of the site's realm.  Raises BadInput or CommandFailed.

    name: the folder, beneath owners.afs.folder.
    """
    if any(part in ("", ".", "..") for part in name.split("/")):
        raise BadInput(f"{name} is no folder beneath {config.owners.afs.folder}")
    path = f"{config.owners.afs.folder}/{name}"
    membership(_said(*PTS, "membership", ANYBODY), ANYBODY)  # raises without tokens
    found = access_list(_said(*FS, "listacl", path), path)
    given, taken = (_who(rights) for rights in (found.given, found.taken))
    if given & EVERYBODY:
        raise CommandFailed(f"the access list of {path} lets everybody administer it")
    if taken & EVERYBODY:
        return []
    users = _users(given) - _users(taken)
    return sorted(filter(None, map(_principal, users)))


def access_list(said: str, path: str) -> AccessList:
    """What `fs listacl` says of one folder; raises CommandFailed for anything else."""
    parts: dict[str, dict[str, str]] = {"Normal rights:": {}, "Negative rights:": {}}
    head, *lines = said.splitlines() or [""]
    into: dict[str, str] | None = None
    if head != f"Access list for {path} is":
        raise CommandFailed(f"fs listacl doesn't tell of {path}")
    for line in lines:
        entry = ENTRY.fullmatch(line)
        if line in parts:
            into = parts[line]
        elif entry and into is not None and entry[1] not in into:
            into[entry[1]] = entry[2]
        else:
            raise CommandFailed(f"fs listacl says something else of {path}: {ascii(line)[:80]}")
    return AccessList(*parts.values())


def membership(said: str, name: str) -> frozenset[str] | None:
    """Whom `pts membership` says to be in a group; None: it is a user.  Raises CommandFailed."""
    head, *lines = said.splitlines() or [""]
    found = HEAD.fullmatch(head)
    if not found or found[2] != name or any(not re.fullmatch(r"  \S+ *", line) for line in lines):
        raise CommandFailed(f"pts membership says something else of {name}: {ascii(head)[:80]}")
    if (found[1] == "Groups") != (int(found[3]) > 0):
        raise CommandFailed(f"pts membership says of {name} that it is a user, and a group")
    return frozenset(line.strip() for line in lines) if found[1] == "Members of" else None


def _who(rights: Mapping[str, str]) -> set[str]:
    """Who may administer, or is denied to, of those that can be somebody of this cell."""
    return {name for name, letters in rights.items() if ADMINISTER in letters and not _is_nobody(name)}


def _is_nobody(name: str) -> bool:
    return bool(NUMBER.fullmatch(name) or ADDRESS.fullmatch(name) or "@" in name)


def _users(names: Iterable[str]) -> set[str]:
    """Those of the names that are users, and who is in those that are groups, each asked about once."""
    users: set[str] = set()
    seen: set[str] = set()
    new = set(names)
    while new:
        seen |= new
        inner: set[str] = set()
        for name in new:
            within = _within(name, "-expandgroups")
            if within is None:
                users.add(name)
            else:
                users |= within
                inner |= (_within(name) or set()) - within
        if inner & EVERYBODY:
            raise CommandFailed("a group of the access list lets everybody in")
        new = inner - seen
    return {user for user in users if ":" not in user}


def _within(name: str, *how: str) -> set[str] | None:
    """Who is in a group; None: it is a user.

    -expandgroups: users alone, of groups in it too, but for everybody, of whom it says nothing.
    """
    found = membership(_said(*PTS, "membership", name, *how), name)
    return None if found is None else {one for one in found if not _is_nobody(one)}


def _principal(user: str) -> str | None:
    """alice.root of AFS is alice/root of Kerberos; None: no person's."""
    if user.startswith(HOST):
        return None
    name, _, instance = user.partition(".")
    return f"{name}{'/' if instance else ''}{instance}@{config.site.realm}"


def _said(*argv: str) -> str:
    """What a program says; raises CommandFailed if it has anything to complain of."""
    done = run([*argv], timeout=max(1, config.owners.deadline // 2), check=False)
    if done.returncode or done.stderr.strip():
        said = done.stderr.strip().rpartition("\n")[2] or f"status {done.returncode}"
        raise CommandFailed(f"{argv[1]}: {said}")
    return done.stdout
