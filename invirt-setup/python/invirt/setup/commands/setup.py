"""invirt-setup: makes this server one of a site."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from invirt.base import validate
from invirt.base.cli import SITE, Argument, Command, Flag, Found, Option, Verb, say
from invirt.base.errors import BadInput
from invirt.base.process import run
from invirt.setup import (
    answers,
    asking,
    first,
    here,
    join,
    joined,
    offering,
    rendered,
    settings,
    steps,
    tokens,
)
from invirt.setup.steps import Step

LARGEST = 1 << 30  # MiB of a host
CHECK = "invirt-check"
WARNINGS = 1  # its exit code where there are no errors
SETTLES = 30  # seconds until what was started must have signed on everywhere
SAMPLE = f"192.0.2.5/h.example.org/{'x' * 22}/{'0' * 43}"


def _server(answers_file: Path | None, check: bool) -> Found:
    """Take the answers from the file, an earlier run, or whoever sits there; then go step by step."""
    if not answers_file and (given := join.given()):
        return _done(joined.steps(given), [], check)
    told = answers.read(answers_file) if answers_file else None
    found = here.completed(told or (answers.read(answers.KEPT) if answers.KEPT.exists() else asking.ask()))
    notes = settings.difference(rendered.invirt_yaml(found))
    return _done(first.steps(found), notes, check, lambda: first.next_lines(found))


def _done(
    wanted: Iterable[Step], notes: list[str], check: bool, following: Callable[[], list[str]] = list
) -> Found:
    """All steps, and what is to be done next; or, with check, what would be done."""
    if check:
        looked = steps.look(wanted)
        return Found({"steps": looked, "next": []}, notes, int(any(step["wanted"] for step in looked)))
    done = steps.run(wanted)
    wrong = _checked()
    return Found({"steps": done, "next": following()}, [*notes, *wrong], int(bool(wrong)))


def _token(name: str, roles: tuple[str, ...], address: str, memory: int | None) -> Found:
    """Make one; what is printed is the line for the other server."""
    made = offering.token(name, roles, address, memory)
    return Found(f"invirt-setup join {made}", [f"Type that on {name}, within an hour. It counts once."])


def _join(token: tokens.Token) -> Found:
    """Get what this server needs, then go step by step."""
    joined.refuse_another(token.name)
    return _done(joined.steps(join.fetched(token)), [], check=False)


def _checked() -> list[str]:
    """Say what invirt-check finds; its errors, once what was started had its time to sign on."""
    deadline = time.monotonic() + SETTLES
    while (done := run([CHECK], timeout=300, check=False)).returncode > WARNINGS:
        if time.monotonic() > deadline:
            break
        time.sleep(1)
    said = done.stdout.splitlines() or done.stderr.splitlines()
    say("\n".join(said))
    return (
        [f"{CHECK}: {line}" for line in said if line.startswith("error")]
        if done.returncode > WARNINGS
        else []
    )


def _address(text: str) -> str:
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError as error:
        raise BadInput(f"{text!a} is not an IPv4 address") from error


def _mebibytes(text: str) -> int:
    return validate.mebibytes(text, 1, LARGEST)


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
        "make this the site's first server, or mend what is missing on any",
        _server,
        (ANSWERS, Flag("check", "change nothing; say what would be done")),
        changes=True,
        shown=_shown,
        example="--answers site.yaml",
    ),
    Verb(
        "token",
        "let another server join, by what is printed: for an hour, once",
        _token,
        (
            Argument("name", "its full name", validate.host_name, sample="host2.example.org"),
            Option("roles", "what it will be", choices=answers.ROLES, several=True, spelled="--role"),
            Option("address", "its IPv4 address, where its name doesn't tell", _address, sample="192.0.2.12"),
            Option("memory", "a host's, for machines", _mebibytes, "SIZE", unit="MiB", sample="64G"),
        ),
        changes=True,
        example="host2.example.org --role host --memory 64G",
    ),
    Verb(
        "join",
        "make this server what its token is for",
        _join,
        (Argument("token", "as the first server printed it", tokens.token, sample=SAMPLE),),
        changes=True,
        shown=_shown,
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
    files={
        **SITE,
        "/etc/invirt/setup.yaml": "what was answered, read when it is run again",
        "/var/lib/invirt-setup": "authorities' keys, tokens, the first user's password: root's alone",
        "/usr/share/doc/invirt-setup/examples/site.yaml": "an example of answers",
    },
    example="invirt-setup --answers site.yaml",
    verbs=VERBS,
    bare="server",
)
