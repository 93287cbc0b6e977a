"""Forms, made of the table of verbs that remote tells: what may be said stands there once."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from invirt.base.errors import BadInput, InvirtError, NotFound
from invirt.web.saying import say

# From where the user of this thread's request asks; remote is told, for the audit.
whence: ContextVar[str] = ContextVar("whence", default="")
WHENCE = "--whence"
OURS = frozenset(("user", "no_wait", "key", "follow", "whence"))  # what no person fills in
FRESH = 300.0  # seconds: remote may be upgraded


@dataclass(frozen=True)
class Field:
    """What is asked for.  kind: place, option or flag; unit: that of a number without one."""

    name: str
    help: str
    kind: str
    option: str | None
    unit: str
    sample: str
    required: bool
    choices: tuple[str, ...]
    several: bool = False

    @property
    def label(self) -> str:
        """As people read it."""
        return self.name.replace("_", " ").capitalize()

    @property
    def whole(self) -> bool:
        """Whether it is given as a number, too."""
        return bool(self.unit) or self.sample.isdigit()


@dataclass(frozen=True)
class Form:
    """One verb.  words: what is said, with {NAME} for the field of that name."""

    name: str
    words: tuple[str, ...]
    summary: str
    fields: tuple[Field, ...]
    who: str = ""
    changes: bool = True

    def asked(self, *given: str) -> tuple[Field, ...]:
        """The fields that a person fills in; given: those that the page knows already."""
        return tuple(field for field in self.fields if field.name not in OURS.union(given))

    def whence(self) -> tuple[str, ...]:
        """What tells remote from where the user asks; nothing where nobody knows, or remote is older."""
        known = whence.get() and any(field.option == WHENCE for field in self.fields)
        return (f"{WHENCE}={whence.get()}",) if known else ()

    def said(self, values: Mapping[str, str | tuple[str, ...]]) -> tuple[str, ...]:
        """The words for values, options first asked not to wait; raises BadInput."""
        known = {field.name: field for field in self.fields}
        words = [placed for word in self.words if (placed := _placed(known, word, values))]
        for field in self.fields:
            if field.option == WHENCE:
                continue
            for value in _each(values.get(field.name, "")) if field.option else ():
                words.append(str(field.option) if field.kind == "flag" else f"{field.option}={value}")
        if "no_wait" in known:
            words.append(str(known["no_wait"].option))
        return (*words, *self.whence())


def _each(value: str | tuple[str, ...]) -> list[str]:
    return [one.strip() for one in ((value,) if isinstance(value, str) else value) if one.strip()]


def _placed(known: Mapping[str, Field], word: str, values: Mapping[str, str | tuple[str, ...]]) -> str:
    """What stands there; "" for what need not be given."""
    if not word.startswith("{"):
        return word
    field = known[word.strip("{}")]
    value = "".join(_each(values.get(field.name, ""))[:1])
    if value.startswith("-") or not value and field.required:
        raise BadInput(f"{field.label}: {value or 'nothing was given'}", hint=field.help)
    return value


def _form(row: Mapping[str, Any]) -> Form:
    fields = tuple(map(_field, row["arguments"]))
    return Form(row["name"], tuple(row["words"]), row["summary"], fields, row["who"], row["changes"])


def _field(row: Mapping[str, Any]) -> Field:
    names = ("name", "help", "kind", "option", "unit", "sample", "required", "several")
    return Field(**{name: row[name] for name in names}, choices=tuple(map(str, row["choices"])))


class _Known:
    forms: dict[str, Form] = {}  # noqa: RUF012 - replaced as a whole
    until = 0.0


def table() -> dict[str, Form]:
    """All, by their verbs' names ("rename", "control create"); raises Unreachable."""
    if time.monotonic() > _Known.until:
        _Known.forms = {form.name: form for form in map(_form, say("verbs"))}
        _Known.until = time.monotonic() + FRESH
    return _Known.forms


def offered() -> dict[str, Form]:
    """The same; none while remote can't be asked: nothing could be done then."""
    try:
        return table()
    except InvirtError:
        return {}


def form(name: str) -> Form:
    """That of a verb; raises NotFound or Unreachable."""
    known = table()
    if name not in known:
        raise NotFound(f"the remote server knows no {name!a}", hint="It may be of another version.")
    return known[name]
