"""What users can ask of remote: one row a verb, one way in for all of them.

`machine` and `control` act for the caller; `web` acts for the user it names,
by the same rows.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from invirt.base import validate
from invirt.base.errors import Denied
from invirt.remote import access, audit
from invirt.remote.actor import Actor


def nothing(parser: argparse.ArgumentParser) -> None:
    """A verb without arguments."""


def name_only(parser: argparse.ArgumentParser) -> None:
    """A verb that takes the name of a machine."""
    parser.add_argument("name", metavar="NAME", type=validate.machine_name, help="the machine")


def user_argument(parser: argparse.ArgumentParser) -> None:
    """The acting user, whom only the web server can name."""
    parser.add_argument("user", metavar="USER", type=access.full_principal, help="a principal: who acts")


@dataclass(frozen=True)
class Verb:
    """One verb.  changes: it is written to the audit table before it is done."""

    name: str
    summary: str
    run: Callable[[Actor, argparse.Namespace], int | None]
    arguments: Callable[[argparse.ArgumentParser], None] = name_only
    changes: bool = False
    for_a_user: bool = True  # False: what the web server asks for itself


def install(parser: argparse.ArgumentParser, verbs: Iterable[Verb], *, web: bool) -> Any:
    """Add a sub-command for each verb, and return argparse's action for more of them.

    With web, each names the acting user first.
    """
    choices = parser.add_subparsers(metavar="VERB", required=True)
    for verb in verbs:
        sub = choices.add_parser(verb.name, help=verb.summary, description=verb.summary, allow_abbrev=False)
        if web and verb.for_a_user:
            user_argument(sub)
        verb.arguments(sub)
        sub.set_defaults(verb=verb)
    return choices


def perform(verb: Verb, actor: Actor, arguments: argparse.Namespace, program: str) -> int:
    """Do what was asked, audited; returns the exit code."""
    audit.understood(actor, getattr(arguments, "name", None))
    if verb.changes:
        audit.begin(program, tuple(sys.argv[1:]))
    return verb.run(actor, arguments) or 0


def for_caller(arguments: argparse.Namespace, program: str) -> int:
    """Do what the caller asks for itself."""
    return perform(arguments.verb, Actor(arguments.caller.principal), arguments, program)


def for_user(arguments: argparse.Namespace, program: str) -> int:
    """Do what the web server asks in the name of a user; raises Denied for any other caller."""
    web = access.web_principal()
    if web is None or arguments.caller.principal != web:
        raise Denied(f"{arguments.caller.principal} may not speak for others")
    user: str = arguments.user if arguments.verb.for_a_user else web
    return perform(arguments.verb, Actor(user, via=web), arguments, program)
