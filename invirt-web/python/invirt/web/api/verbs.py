"""What the API does: the verbs of remote's table that change something, each with its arguments as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from werkzeug.exceptions import LengthRequired, RequestEntityTooLarge, UnsupportedMediaType

from invirt.base import validate
from invirt.base.errors import BadInput, Denied, NotFound
from invirt.web import forms, saying
from invirt.web.api.bearer import MACHINE, Bearer, absent, may_change
from invirt.web.forms import Field, Form
from invirt.web.reading import administers, done, one

Values = Mapping[str, str | tuple[str, ...]]
OURS = ("user", "no_wait", "whence")  # arguments that nobody gives


def known(name: str) -> Form:
    """The verb of that name; raises NotFound."""
    form = forms.table().get(name)
    if form is None or not form.changes:
        raise NotFound(
            f"there is no verb {name[:40]!a} that changes anything", hint="See /api/1/openapi.json."
        )
    return form


def fields(form: Form) -> dict[str, Field]:
    """The arguments that are given as JSON; an operation's key comes in a header."""
    return {field.name: field for field in form.fields if field.name not in OURS and not is_key(field)}


def is_key(field: Field) -> bool:
    """Whether it is what tells a repeated request from a second one, no argument of that name."""
    return field.name == "key" and field.kind == "option"


LONGEST = 64 << 10  # bytes of a body


def body(mimetype: str, length: int | None, read: Callable[[int], bytes]) -> dict[str, Any]:
    """The object that was sent; raises BadInput, or what HTTP says of other bodies."""
    if length is None:
        raise LengthRequired("say how long the body is")
    sent = read(LONGEST + 1)  # Apache takes no answer of who doesn't listen
    if length > LONGEST:
        raise RequestEntityTooLarge("the body is too long")
    if mimetype != "application/json":
        raise UnsupportedMediaType("the body has to be application/json")
    try:
        found = json.loads(sent.decode(), object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise BadInput("the body is not JSON", hint='As in: {"name": "remus"}') from error
    if not isinstance(found, dict):
        raise BadInput("the body is no object", hint='As in: {"name": "remus"}')
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is there twice")
    return found


def _no_number(text: str) -> None:
    raise ValueError(text)


def change(bearer: Bearer, form: Form, given: Mapping[str, Any], key: str | None) -> Any:
    """Do it; returns what remote answers.  Raises what it refuses with."""
    about_machine = may_change(bearer, form.name)
    values = dict(understood(form, given))
    if about_machine:
        require(bearer, form, str(values.get("name", "")))
    elif bearer.made and administers(bearer.who):
        bearer.need_door()  # remote would take it for an administrator's word
    if key is not None:
        if not any(map(is_key, form.fields)):
            raise BadInput(f"{form.name} takes no key", hint="Leave Idempotency-Key out.")
        values["key"] = key
    done()  # remote may take its time, and a transaction holds things up
    return saying.say(*form.said({**values, "user": bearer.who}))


def require(bearer: Bearer, form: Form, name: str) -> None:
    """Raises NotFound or Denied unless the token is for that machine, and its user may without administering.

    Remote asks again what the user may, as an administrator, too.
    """
    good = validate.passes(name, validate.machine_name)
    found = one(MACHINE, {**bearer.asked, "name": name}) if good else None
    if found is None:
        raise absent(name)
    if form.who not in ("user", "anyone") and not found.owned:
        raise Denied(f"only its owner may do this to {name}", hint="You may control it and see it.")


def understood(form: Form, given: Mapping[str, Any]) -> Values:
    """JSON's values as the words of remote's table; raises BadInput."""
    arguments = fields(form)
    for name in given:
        if name not in arguments:
            raise BadInput(f"unknown: {name[:40]!a}", hint=f"There is: {', '.join(arguments)}.")
    for name, field in arguments.items():
        if field.required and name not in given:
            raise BadInput(f"{name} is missing", hint=field.help)
    found = {name: _value(arguments[name], value) for name, value in given.items()}
    return {name: value for name, value in found.items() if value}


def _value(field: Field, value: Any) -> str | tuple[str, ...]:
    if field.kind == "flag":
        if not isinstance(value, bool):
            raise BadInput(f"{field.name} is true or false")
        return "yes" if value else ""
    if field.several and field.kind == "option":
        if not isinstance(value, list) or not value:
            raise BadInput(f"{field.name} is a list of one or more", hint=field.help)
        return tuple(_word(field, one) for one in value)
    return _word(field, value)


def _word(field: Field, value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and field.whole:
        value = str(value) if abs(value) < 1 << 63 else ""
    if not isinstance(value, str):
        raise BadInput(f"{field.name} is a text", hint=field.help)
    if not value.strip() or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise BadInput(f"{field.name}: nothing was given, or what is no text", hint=field.help)
    if field.choices and value not in field.choices:
        raise BadInput(f"{field.name} can't be {value[:40]!a}", hint=f"There is: {', '.join(field.choices)}.")
    return value
