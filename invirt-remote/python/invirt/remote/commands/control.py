"""remctl REMOTE control NAME …: boot, reboot, shut down and destroy one machine."""

from __future__ import annotations

import argparse

from invirt.base.cli import Command
from invirt.remote import access, control, verbs
from invirt.remote.actor import Actor

NAME = "invirt-remote-proxy-control"


def _help(actor: Actor, arguments: argparse.Namespace) -> None:
    print(COMMAND.parser("control").format_help(), end="")


VERBS = (*control.VERBS, verbs.Verb("help", "this text", _help, verbs.nothing))


def _arguments(parser: argparse.ArgumentParser) -> None:
    verbs.name_only(parser)
    verbs.install(parser, VERBS, web=False)


def _run(arguments: argparse.Namespace) -> int:
    """The web server's principal comes in by the include of every access list: for any machine."""
    caller: str = arguments.caller.principal
    web = caller == access.web_principal()
    actor = Actor(caller, via=caller if web else None, administrator=web)
    return verbs.perform(arguments.verb, actor, arguments, NAME)


COMMAND = Command(
    name=NAME,
    section=8,
    summary="boot, reboot, shut down and destroy a machine",
    description=(
        "Run by remctld for those who are on the machine's access list (see invirt-remconffs); asks the\n"
        "database again.  The progress is told on stderr; the exit code is 0 when it is done."
    ),
    example="remctl remote.example.org control inode create",
    arguments=_arguments,
    run=_run,
    remctl="control",
)
