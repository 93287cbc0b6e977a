"""remctl HOST job …: commands that may take long, for remote."""

from __future__ import annotations

import argparse
import json

from invirt.base import validate
from invirt.base.cli import Command
from invirt.host import jobs
from invirt.host.commands import domain, volume

COMMANDS = {"domain": domain.COMMAND, "volume": volume.COMMAND}


def begin(arguments: argparse.Namespace) -> None:
    """Begin a command; print how it stands a little later."""
    caller = arguments.caller.principal
    print(json.dumps(jobs.begin(arguments.token, arguments.words, caller, COMMANDS)))


def status(arguments: argparse.Namespace) -> None:
    """Print how a job stands."""
    print(json.dumps(jobs.status(arguments.token)))


_VERBS = (
    ("begin", begin, "begin a command, and don't wait long for its end"),
    ("status", status, "how the job of a token stands"),
)


def _arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for word, run, summary in _VERBS:
        verb = verbs.add_parser(word, help=summary, description=summary)
        verb.add_argument("token", metavar="TOKEN", type=validate.token)
        if word == "begin":
            verb.add_argument(
                "words", metavar="WORD", nargs="+", help="domain or volume, and what is said to that"
            )
        verb.set_defaults(verb=run)


COMMAND = Command(
    name="invirt-host-job",
    section=8,
    summary="commands that may take long",
    description="Run by remctld for the remote server as `job`. A job is a command of `domain` or `volume`, "
    "with the same TOKEN. It goes on when the caller is gone; its end is kept for a day.",
    example="remctl host1.example.org job begin 1234 domain create inode 1234",
    arguments=_arguments,
    run=lambda arguments: arguments.verb(arguments),
    remctl="job",
)
