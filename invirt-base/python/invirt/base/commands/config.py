"""invirt-config: compiles the templates of the roles that are installed here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from invirt import config
from invirt.base import ports
from invirt.base.apply import Change, Templates
from invirt.base.cli import SITE, Argument, Command, Flag, Found, Option, Verb
from invirt.base.errors import BadConfig

SYSTEMD = Path("/run/systemd/system")  # there while it runs this server
LEFT_ALONE = 10  # exit code: all is applied but what was edited by hand


def _check(file: Path | None, root: Path) -> str:
    """Compile with it, as apply would."""
    templates = Templates(root, file)
    templates.changes()
    return f"{templates.source} is right"


def _last() -> Path:
    """What was applied last; the file itself where nothing was, or by a version that knew other keys."""
    try:
        config.load(config.counting())
    except BadConfig:
        return config.path()
    if text := config.unapplied():
        print(f"invirt-config: {text}", file=sys.stderr)
    return config.counting()


def _apply(check: bool, diff: bool, force: bool, no_reload: bool, last: bool, root: Path) -> Found:
    """Compile all; returns a record for each target that is not as it should be."""
    templates = Templates(root, _last() if last else None)
    dry = check or diff
    changes = templates.changes() if dry else templates.apply(force=force, reload=not no_reload)
    needed = [change for change in changes if change.is_needed]
    records = [_record(change, not dry, force, diff) for change in needed]
    left = any(record["left_alone"] for record in records)
    notes = [] if dry or last or root != Path("/") else _taken(templates.folder)
    return Found(records, notes, code=int(bool(needed)) if dry else LEFT_ALONE if left else 0)


def _taken(registered: Path) -> list[str]:
    """Which ports of the roles that are installed somebody else has, as invirt.yaml is now."""
    if not SYSTEMD.is_dir():
        return []
    roles = [role for role in ports.ROLES if (registered / f"{role}.yaml").exists()]
    return [f"{said}; see invirt-config ports" for said in ports.taken(roles)]


def _record(change: Change, done: bool, force: bool, diff: bool) -> dict[str, Any]:
    left = change.by_hand and not (done and force)
    record = {"target": str(change.path), "left_alone": left, "written": done and not left}
    return record | ({"diff": change.diff()} if diff else {})


def _lines(records: list[dict[str, Any]]) -> str:
    """What is said of each; of what was edited by hand on stderr."""
    out = []
    for record in records:
        if record["left_alone"]:
            wrong = "edited by hand, left alone; --diff shows how, --force overwrites it"
            print(f"{record['target']}: {wrong}", file=sys.stderr)
        else:
            out.append(f"{record['target']}: {'written' if record['written'] else 'would be written'}\n")
        out.append(record.get("diff", ""))
    return "".join(out)


def _ports(role: str) -> str:
    if not SYSTEMD.is_dir():
        return "no role listens here: there is no systemd"  # as in a chroot, whose ports are its host's
    ports.require(role)
    return f"nobody else has a port that the role {role} needs"


ROOT = Option("root", "work in this folder instead of /", Path, "FOLDER", default=Path("/"), sample="/mnt")
VERBS = (
    Verb(
        "apply",
        "compile all templates",
        _apply,
        (
            Flag("check", "write nothing; status 1 if something would change"),
            Flag("diff", "like --check, and show what would change"),
            Flag("force", "overwrite targets edited by hand, too"),
            Flag("no_reload", "tell no unit (at boot they start later)"),
            Flag("last", "compile what was applied last, if that can be (at boot)"),
            ROOT,
        ),
        changes=True,
        shown=_lines,
        apart=("check", "diff", "force"),
    ),
    Verb(
        "check",
        "say what is wrong with a file, and write nothing",
        _check,
        (Argument("file", "instead of invirt.yaml", Path, "FILE", required=False), ROOT),
        example="new.yaml",
    ),
    Verb(
        "ports",
        "say who else has a port of this server that a role needs",
        _ports,
        (Argument("role", ", ".join(ports.ROLES), choices=ports.ROLES, metavar="ROLE"),),
        example="dns",
    ),
)
COMMAND = Command(
    name="invirt-config",
    section=8,
    summary="Compile the configuration of this server's programs from invirt.yaml.",
    description=(
        "Renders every template registered in /usr/share/invirt/templates.d, lets each\n"
        "consumer's own checker see the result, then renames all that has changed into\n"
        "place and reloads the units that read it. If anything is wrong, nothing is written.\n"
        "All programs go by invirt.yaml as it was applied last. Status 10: a target that was\n"
        "edited by hand was left alone."
    ),
    files={
        **SITE,
        "/etc/invirt/invirt.yaml.applied": "what was applied last, which all programs go by",
        "/usr/share/invirt/templates.d": "which templates there are, a file for each role",
        "/var/lib/invirt/templates.json": "checksums of what was written, by which others' edits are told",
    },
    example="invirt-config apply --diff",
    verbs=VERBS,
)
