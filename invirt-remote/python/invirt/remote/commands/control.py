"""remctl REMOTE control NAME …: boot, reboot, shut down and destroy one machine."""

from __future__ import annotations

from typing import Any

from invirt.base.cli import Call, Command, Verb, Who, show, whole
from invirt.remote import access, control, verbs
from invirt.remote.actor import Actor

NAME = "invirt-remote-proxy-control"


def _help(actor: Actor, name: str) -> str:
    from invirt.base.cli import help

    return help.text(whole(COMMAND, "control"))


VERBS: tuple[Verb, ...] = (
    *control.VERBS,
    Verb("help", "this text", _help, who=Who.ANYONE, shown=show.text),
)


def _do(call: Call) -> Any:
    """The web server's principal comes in by the include of every access list: for any machine."""
    web = call.caller == access.web_principal()
    actor = Actor(call.caller, via=call.caller if web else None, administrator=web)
    return verbs.perform(call, actor, NAME)


COMMAND = Command(
    name=NAME,
    section=8,
    summary="boot, reboot, shut down and destroy a machine",
    description=(
        "Run by remctld for those who are on the machine's access list (see invirt-remconffs); asks the\n"
        "database again.  The progress is told on stderr; the exit code is 0 when it is done."
    ),
    example="remctl remote.example.org control inode create",
    arguments=(verbs.NAME,),
    verbs=VERBS,
    do=_do,
    remctl="control",
)
