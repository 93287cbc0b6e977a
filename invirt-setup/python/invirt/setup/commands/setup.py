"""invirt-setup: makes this server one of a site."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from invirt.base.cli import Command, Flag, Found, Option, Verb, say
from invirt.base.process import run
from invirt.setup import answers, asking, first, here, rendered, settings, steps

CHECK = "invirt-check"


def _server(answers_file: Path | None, check: bool) -> Found:
    """Take the answers from the file, an earlier run, or whoever sits there; then go step by step."""
    given = answers.read(answers_file) if answers_file else None
    found = here.completed(given or (answers.read(answers.KEPT) if answers.KEPT.exists() else asking.ask()))
    notes = settings.difference(rendered.invirt_yaml(found))
    if check:
        looked = steps.look(first.steps(found))
        return Found({"steps": looked, "next": []}, notes, int(any(step["wanted"] for step in looked)))
    done = steps.run(first.steps(found))
    return Found({"steps": done, "next": first.next_lines(found)}, notes, _checked())


def _checked() -> int:
    """What invirt-check finds, if it is there, for all to see; its exit code."""
    if not shutil.which(CHECK):
        return 0
    done = run([CHECK], timeout=300, check=False)
    say(done.stdout.rstrip() or done.stderr.rstrip())
    return done.returncode


def _shown(done: dict[str, Any]) -> str:
    return "".join(f"{line}\n" for line in done["next"])


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
