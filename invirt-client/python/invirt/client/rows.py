"""Rows of the table of `invirt`: how each is said by remctl's words, and the arguments that several take."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import Any, NoReturn

from invirt.base import validate
from invirt.base.cli import JSON, Argument, Flag, Option, Verb, Who
from invirt.base.errors import BadConfig, CommandFailed
from invirt.client import site
from invirt.client.names import names
from invirt.client.words import CONTROL, control, machine

NAME = Argument("name", "the machine", validate.machine_name, "NAME", sample="remus", known=names)
OTHER = Argument(
    "other", "another machine of its owner", validate.machine_name, "OTHER", sample="romulus", known=names
)
PRINCIPAL = Argument("principal", "whom; bob is bob@ your realm", metavar="PRINCIPAL", sample="bob")
TRASHED = Argument("name", "as invirt trash has it", metavar="NAME|NUMBER", sample="remus")
MEMORY = Option("memory", "its memory", metavar="SIZE", unit="MiB")
CPUS = Option("cpus", "how many CPUs", metavar="N")
SIZES = Option(
    "disk", "a disk (hda) and its new size; it only grows", metavar="[DISK=]SIZE", several=True, unit="GiB"
)
OF_TRASH = Option("disk", "a single disk of that machine, hda to hdz", metavar="DISK")
YES = Flag("yes", "really")
WEB = Flag("web", "ask the web server, over HTTPS, not the remote server")
NO_WAIT = Flag("no_wait", "say the operation's number at once; invirt log --follow shows how it goes")


OPERATIONS = (
    *(
        "create",
        "start",
        "stop",
        "reboot",
        "kill",
        "install",
        "rescue",
        "eject",
        "resize",
        "rename",
        "delete",
        "undelete",
        "purge",
    ),
)


def open_console(name: str) -> NoReturn:
    """Become ssh, at the machine's console."""
    where = site.find().console
    if not where:
        raise BadConfig("this site names no console server", hint="Ask its administrators.")
    if not shutil.which("ssh"):
        raise CommandFailed("ssh is not installed", hint="apt-get install openssh-client")
    options = ("GSSAPIAuthentication=yes", "GSSAPIDelegateCredentials=no")
    os.execvp("ssh", ["ssh", "-t", *(word for one in options for word in ("-o", one)), f"{name}@{where}"])


def _whichever_way(meaning: Callable[..., Any]) -> Callable[..., Any]:
    """The same words, by remctl or by the web server."""
    return lambda web=False, **values: meaning(**values)


def verb(
    name: str,
    summary: str,
    *arguments: Argument,
    run: Callable[..., Any] | None = None,
    example: str | None = None,
) -> Verb:
    """A row whose words are run's; by default those of `machine` or `control` of the same name."""
    places = [argument.name for argument in arguments if not isinstance(argument, Option)]
    meaning = run or (control(name) if name in CONTROL else machine(name, *places))
    options: tuple[Option, ...] = ()
    if run is not open_console:
        meaning, options = _whichever_way(meaning), (WEB, JSON)
    waits = (NO_WAIT,) if name in OPERATIONS else ()
    return Verb(
        name, summary, meaning, (*arguments, *waits, *options), Who.ANYONE, shown=None, example=example
    )
