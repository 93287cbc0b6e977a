"""invirt-config: compiles the templates of the roles that are installed here."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from invirt import config
from invirt.base.apply import Change, Templates
from invirt.base.cli import Command
from invirt.base.errors import BadConfig

LEFT_ALONE = 10  # exit code: all is applied but what was edited by hand


def _arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    apply = verbs.add_parser("apply", help="compile all templates", allow_abbrev=False)
    only = apply.add_mutually_exclusive_group()
    only.add_argument(
        "--check", action="store_true", help="write nothing; status 1 if something would change"
    )
    only.add_argument("--diff", action="store_true", help="like --check, and show what would change")
    only.add_argument("--force", action="store_true", help="overwrite targets edited by hand, too")
    apply.add_argument("--no-reload", action="store_true", help="tell no unit (at boot they start later)")
    apply.add_argument(
        "--last", action="store_true", help="compile what was applied last, if that can be (at boot)"
    )
    check = verbs.add_parser(
        "check", help="say what is wrong with a file, and write nothing", allow_abbrev=False
    )
    check.add_argument("file", metavar="FILE", type=Path, nargs="?", help="instead of invirt.yaml")
    for verb in (apply, check):
        verb.add_argument("--root", type=Path, default=Path("/"), help="work in this folder instead of /")
    apply.set_defaults(run=_apply)
    check.set_defaults(run=_check)


def _shown(change: Change, done: bool, force: bool) -> str:
    """The line about a target that is not as it should be."""
    if change.by_hand and not (done and force):
        return f"{change.path}: edited by hand, left alone; --diff shows how, --force overwrites it"
    return f"{change.path}: {'written' if done else 'would be written'}"


def _check(arguments: argparse.Namespace) -> int:
    """Compile with it, as apply would."""
    templates = Templates(arguments.root, arguments.file)
    templates.changes()
    print(f"{templates.source} is right")
    return 0


def _last() -> Path:
    """What was applied last; the file itself where nothing was, or by a version that knew other keys."""
    try:
        config.load(config.counting())
    except BadConfig:
        return config.path()
    if text := config.unapplied():
        print(f"invirt-config: {text}", file=sys.stderr)
    return config.counting()


def _apply(arguments: argparse.Namespace) -> int:
    templates = Templates(arguments.root, _last() if arguments.last else None)
    dry = arguments.check or arguments.diff
    if dry:
        changes = templates.changes()
    else:
        changes = templates.apply(force=arguments.force, reload=not arguments.no_reload)
    needed = [change for change in changes if change.is_needed]
    for change in needed:
        print(_shown(change, not dry, arguments.force), file=sys.stderr if change.by_hand else sys.stdout)
        if arguments.diff:
            print(change.diff(), end="")
    if dry:
        return 1 if needed else 0
    return LEFT_ALONE if not arguments.force and any(change.by_hand for change in needed) else 0


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
    example="invirt-config apply --diff",
    arguments=_arguments,
    run=lambda arguments: arguments.run(arguments),
)
