"""remctl HOST job …: commands that may take long, for remote."""

from __future__ import annotations

from typing import Any

from invirt.base import tables, validate
from invirt.base.cli import Argument, Command, Verb, Who, rest_of_line
from invirt.host import jobs
from invirt.host.commands import domain, volume

COMMANDS = {"domain": domain.COMMAND, "volume": volume.COMMAND}


def begin(caller: str, token: int, words: tuple[str, ...]) -> dict[str, Any]:
    """Begin a command; returns how it stands a little later."""
    return jobs.begin(token, words, caller, COMMANDS)


def status(caller: str, token: int) -> dict[str, Any]:
    """How a job stands, at its end or a little later."""
    return jobs.news(token)


TOKEN = Argument("token", "the job's, and its command's", validate.token, "TOKEN", sample="1234")
WORDS = Argument(
    "words", "domain or volume, and what is said to that", rest_of_line, "WORD", several=True,
    sample="domain create inode 1234",
)  # fmt: skip
VERBS = (
    Verb("begin", "begin a command, and don't wait long for its end", begin, (TOKEN, WORDS), who=Who.REMOTE,
         changes=True, shown=tables.one_line_json),
    Verb("status", "how the job of a token stands, at its end or a little later", status, (TOKEN,),
         who=Who.REMOTE, shown=tables.one_line_json),
)  # fmt: skip
COMMAND = Command(
    name="invirt-host-job",
    section=8,
    summary="commands that may take long",
    description="Run by remctld for the remote server as `job`. A job is a command of `domain` or `volume`, "
    "with the same TOKEN. It goes on when the caller is gone; its end is kept for a day.",
    example="remctl host1.example.org job begin 1234 domain create inode 1234",
    verbs=VERBS,
    do=lambda call: call.run(call.caller),
    remctl="job",
)
