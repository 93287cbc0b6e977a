"""What the program `invirt` asks where it can't reach the remote server: the words that it would say there,
for what is printed there, and the exit code.

Whoever has a door's token may say all that they may say to remote, which decides.  The words of a made token
must be those of a verb that it may, each option as --NAME=VALUE.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from invirt.base import validate
from invirt.base.errors import BadInput, Busy, Denied, NotFound
from invirt.web import saying
from invirt.web.api.bearer import Bearer, may_change
from invirt.web.api.resources import GREATEST
from invirt.web.api.verbs import require
from invirt.web.forms import WHENCE, Form
from invirt.web.operations import OPEN
from invirt.web.reading import administers, done, one

PROGRAMS = ("machine", "control", "admin")
MOST = 200  # words
USER = "{user}"
GOES_ON = "SELECT FROM web.operations WHERE operation_id = %(number)s AND state = ANY (%(open)s)"
ENDED = """SELECT FROM web.operations
    WHERE principal = %(who)s AND request_key = %(key)s AND finished_at IS NOT NULL"""
OPTION = re.compile(r"(--[a-z][a-z-]*)(=.*)?", re.DOTALL)

# What a made token may read: of a machine that it is for, and, where it is for all, all of these.
OF_MACHINES = frozenset(("show", "usage", "control status", "operations"))
OF_ALL = frozenset(("list", "trash", "quota"))


@dataclass(frozen=True)
class Asked:
    """A verb, and the words that it is asked by.

    own: how many words lead to it.  placed: its arguments, by their places; options: the words after.
    """

    form: Form
    words: tuple[str, ...]
    own: int
    placed: Mapping[str, str]
    options: tuple[str, ...]


def words(given: Mapping[str, Any]) -> tuple[str, ...]:
    """The words of a body; raises BadInput."""
    found = given.get("words")
    if set(given) != {"words"} or not isinstance(found, list) or not 1 < len(found) <= MOST:
        raise BadInput('what is asked for is {"words": [PROGRAM, VERB, …]}')
    if not all(isinstance(word, str) for word in found) or found[0] not in PROGRAMS:
        raise BadInput(f"the first word is one of {', '.join(PROGRAMS)}, and each is a text")
    if any("\ud800" <= letter <= "\udfff" for word in found for letter in word):
        raise BadInput("that is no text")
    return tuple(found[1:] if found[0] == "machine" else found)


def asked(table: Iterable[Form], given: tuple[str, ...]) -> Asked:
    """The verb that is meant; raises NotFound."""
    fitting = [form for form in table if form.words[1:2] == (USER,) and _fits(_pattern(form), given)]
    if not fitting:
        raise NotFound(f"there is no {' '.join(given[:3])[:60]!a}", hint="See invirt --help.")
    form = max(fitting, key=lambda one: len([word for word in one.words if not _is_place(word)]))
    pattern = _pattern(form)
    taken = next(
        (at for at, word in enumerate(given[: len(pattern)]) if word.startswith("-")),
        min(len(pattern), len(given)),
    )
    placed = {
        word.strip("{}"): value
        for word, value in zip(pattern, given[:taken], strict=False)
        if _is_place(word)
    }
    own = max(at for at, word in enumerate(pattern) if not _is_place(word)) + 1
    return Asked(form, given, own, placed, given[taken:])


def say(bearer: Bearer, found: Asked) -> dict[str, Any]:
    """What remote prints, and the exit code; raises what it can't be asked with."""
    if any(word.partition("=")[0] == WHENCE for word in found.words):
        raise BadInput(f"{WHENCE} is for the web server to say")
    if bearer.made:
        _check(bearer, found)
    _be_quick(bearer, found)
    done()  # remote may take its time
    first, *leading = found.words[: found.own]
    words = (first, bearer.who, *leading, *found.form.whence(), *found.words[found.own :])
    code, out, err = saying.plainly(*words)
    program = first if first in PROGRAMS else PROGRAMS[0]
    return {"code": code, "out": out, "err": re.sub(r"\Aweb: ", f"{program}: ", err)}


def _be_quick(bearer: Bearer, found: Asked) -> None:
    """Raises BadInput or Busy for what would have remote wait for the end of an operation."""
    given = dict(word.partition("=")[::2] for word in found.options)
    waits = any(field.name == "no_wait" for field in found.form.fields)
    asked = {"who": bearer.who, "key": given.get("--key")}
    if waits and "--no-wait" not in given and one(ENDED, asked) is None:
        raise BadInput(
            "that is not waited for here",
            hint="Add --no-wait; by the same --key its end is told once it is there.",
        )
    if any(word.startswith("--follow") for word in given):
        number = validate.count(given.get("--follow", ""), 1, GREATEST)
        if one(GOES_ON, {"number": number, "open": list(OPEN)}) is not None:
            raise Busy(
                f"operation {number} is under way", hint=f"/streams/operations/{number} tells how it goes."
            )


def _check(bearer: Bearer, found: Asked) -> None:
    """Raises Denied, NotFound or BadInput for what a made token may not."""
    form, name = found.form, found.form.name
    known = {field.option for field in form.fields if field.option} | {"--json"}
    for word in found.options:
        match = OPTION.fullmatch(word)
        if not match or match[1] not in known:
            raise BadInput(f"{name}: {word[:40]!a} is none of its options", hint="Give each as --NAME=VALUE.")
    if form.changes:
        of_machine = may_change(bearer, name)
    else:
        of_machine = name in OF_MACHINES and "name" in found.placed
        if name not in OF_MACHINES | OF_ALL:
            bearer.need_door()
    if of_machine:
        if bearer.machines is not None and any(word.startswith("--follow") for word in found.options):
            raise Denied(f"the token {bearer.made} is for some machines, not for an operation's number")
        require(bearer, form, found.placed.get("name", ""))
    else:
        bearer.need_all()
        if administers(bearer.who):
            bearer.need_door()  # remote would take it for an administrator's word


def _pattern(form: Form) -> tuple[str, ...]:
    return tuple(word for word in form.words if word != USER)


def _is_place(word: str) -> bool:
    return word.startswith("{")


def _fits(pattern: tuple[str, ...], given: tuple[str, ...]) -> bool:
    """Whether all words that are the same each time stand where they should."""
    return all(_is_place(word) or given[at : at + 1] == (word,) for at, word in enumerate(pattern))
