"""invirt-setup: makes this server one of a site."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from invirt.base.cli import Command, Flag, Option, Verb
from invirt.setup import answers, asking


def _server(answers_file: Path | None, check: bool) -> dict[str, Any]:
    """Take the answers from the file, from an earlier run, or from whoever sits there."""
    given = answers.read(answers_file) if answers_file else None
    found = given or (answers.read(answers.KEPT) if answers.KEPT.exists() else asking.ask())
    return {"steps": [], "next": found.domain, "check": check}


def _shown(done: dict[str, Any]) -> str:
    return f"{done['next']}\n"


ANSWERS = Option(
    "answers_file",
    "take the answers from it, and ask nothing",
    Path,
    "FILE",
    spelled="--answers",
    sample="site.yaml",
)
VERBS = (
    Verb(
        "server",
        "make this the site's first server, or mend what is missing",
        _server,
        (ANSWERS, Flag("check", "change nothing; say what would be done")),
        changes=True,
        shown=_shown,
        example="--answers site.yaml",
    ),
)
COMMAND = Command(
    name="invirt-setup",
    section=8,
    summary="Make this server one of a site.",
    description=(
        "Asks the few things that can't be guessed, then does what is missing, step by step:\n"
        "Kerberos, keys, certificates, invirt.yaml, this server's roles by apt, and what the\n"
        "database must be told. It may be run again at any time, also after it was killed.\n"
        'Without a verb it is "invirt-setup server".'
    ),
    example="invirt-setup --answers site.yaml",
    verbs=VERBS,
    bare="server",
)
