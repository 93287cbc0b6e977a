"""What users can ask of remote: the arguments they share, and one way in for all verbs.

`machine` and `control` act for the caller; `web` acts for the user it names,
by the same rows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from invirt.base import validate
from invirt.base.cli import Argument, Call, Flag, Found, Group, Option, Row, Verb, Who
from invirt.base.errors import BadInput, Denied, NotFound
from invirt.remote import access, audit, submission
from invirt.remote.actor import Actor

if TYPE_CHECKING:
    from invirt.remote.operations import Operation

NAME = Argument("name", "the machine", validate.machine_name, "NAME", sample="remus")
USER = Argument("user", "a principal: who acts", access.full_principal, "USER", sample="alice")
WHENCE = Option(
    "whence", "from where that user asks: an address", validate.address, "ADDRESS", sample="192.0.2.7"
)
NO_WAIT = Flag("no_wait", "say the operation's number at once; operations --follow shows how it goes")
YES = "really"  # what --yes says


def request_key(text: str) -> str:
    """What tells a repeated request from a second one; raises BadInput."""
    if not (1 <= len(text) <= 200 and text.isascii() and text.isprintable()):
        raise BadInput("that is not a key", hint="Accepted: 1 to 200 printable ASCII letters.")
    return text


KEY = Option("key", "the same key again is the same request, not a second", request_key, "KEY")


def waitable(verb: Verb) -> Verb:
    """A verb that is one operation: done once for one key, and its end need not be waited for."""

    def run(actor: Actor, *, no_wait: bool = False, key: str | None = None, **values: Any) -> Any:
        submission.asked(not no_wait, key)
        try:
            return verb.run(actor, **values)
        except submission.Begun as begun:
            return _number(begun.number)
        except NotFound:  # it may be gone by what was asked for
            first = submission.before(actor)
            if first is None or not _is(first, verb, values):
                raise
            return _number(first.operation_id) if no_wait else submission.ended(first)

    return replace(verb, run=run, arguments=(*verb.arguments, KEY, NO_WAIT))


def _number(number: int) -> Found:
    return Found({"operation": number}, shown=lambda found: f"{found['operation']}\n")


def _is(operation: Operation, verb: Verb, values: dict[str, Any]) -> bool:
    """Whether it may be what the verb was asked to do with these values."""
    named = {values.get("name"), values.get("new")}
    numbered = str(values.get("name")).isdecimal()
    return operation.kind.endswith(verb.name) and (numbered or operation.machine_name in named)


def spoken(rows: Iterable[Row]) -> tuple[Row, ...]:
    """The same rows for the web server, which names the acting user first, and from where they ask."""
    return tuple(_spoken(row) for row in rows)


def _spoken(row: Row) -> Row:
    if isinstance(row, Group):
        return replace(row, verbs=tuple(map(_from, row.verbs)), arguments=(USER, *row.arguments))
    if row.who is Who.WEB:  # what it asks for itself
        return row
    example = None if row.example is None else f"{USER.sample} {row.example}"
    return replace(row, arguments=(USER, *row.arguments, WHENCE), example=example)


def _from(row: Row) -> Row:
    if isinstance(row, Group):
        return replace(row, verbs=tuple(map(_from, row.verbs)))
    return replace(row, arguments=(*row.arguments, WHENCE))


def perform(call: Call, actor: Actor, program: str) -> Any:
    """Do what was asked, audited; returns what was found."""
    audit.understood(actor, call.values.get("name"))
    if call.verb.changes:
        audit.begin(program, tuple(sys.argv[1:]))
    return call.run(actor)


def for_caller(call: Call, program: str) -> Any:
    """Do what the caller asks for itself."""
    return perform(call, Actor(call.caller), program)


def for_user(call: Call, program: str, perform: Callable[[Call, Actor, str], Any] = perform) -> Any:
    """Do what the web server asks in the name of a user; raises Denied for any other caller."""
    web = access.web_principal()
    if web is None or call.caller != web:
        raise Denied(f"{call.caller} may not speak for others")
    values = dict(call.values)
    user = values.pop("user", web)
    whence = values.pop("whence", None)
    return perform(replace(call, values=values), Actor(user, via=web, whence=whence), program)
