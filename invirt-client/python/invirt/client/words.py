"""What `invirt` means in remctl's words, and what the server says in those of `invirt`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

Words = tuple[str, ...]
MACHINE = {
    "create": "create", "list": "list", "show": "show", "resize": "resize", "set": "set", "rename": "rename",
    "apart": "apart", "together": "together", "limit": "limit", "limits": "limits", "explain": "explain",
    "systems": "systems", "cdroms": "cdroms", "insert": "insert", "eject": "eject",
    "share": "allow", "unshare": "disallow", "delete": "delete", "trash": "trash", "undelete": "undelete",
    "purge": "purge", "log": "operations", "usage": "usage",
    "audit": "audit",
    "offers": "offers", "accept": "accept", "decline": "decline",
}  # fmt: skip
CONTROL = {
    "start": "create", "stop": "shutdown", "reboot": "reboot", "kill": "destroy", "status": "status",
    "install": "install", "rescue": "rescue",
}  # fmt: skip
_SPOKEN = {
    "machine quota": "quota",
    **{f"machine {theirs}": ours for ours, theirs in MACHINE.items()},
    **{f"control {theirs}": ours for ours, theirs in CONTROL.items()},
}
_OF_MACHINE = "|".join((*MACHINE.values(), "quota"))
_THEIRS = re.compile(rf"\bmachine ({_OF_MACHINE})\b|\bcontrol (\S+) ({'|'.join(CONTROL.values())})\b")


def machine(verb: str, *places: str) -> Callable[..., Words]:
    """Makes the words of `machine`: what is named in places by its place, all else as options."""

    def words(**values: Any) -> Words:
        placed = [str(values.pop(place)) for place in places if values.get(place) is not None]
        return ("machine", MACHINE[verb], *placed, *_options(values))

    return words


def control(verb: str) -> Callable[..., Words]:
    """Makes the words of `control`."""
    return lambda name, **values: ("control", name, CONTROL[verb], *_options(values))


def token(verb: str) -> Callable[..., Words]:
    """Makes the words of `machine token`."""
    return lambda name="", **values: ("machine", "token", verb, *((name,) if name else ()), *_options(values))


def look(verb: str) -> Callable[..., Words]:
    """Makes the words of `machine look`."""
    return lambda name, **values: ("machine", "look", verb, name, *_options(values))


def quota(*verb: str) -> Callable[..., Words]:
    """Makes the words of `machine quota`, which shows an owner's where no verb is named."""

    def words(owner: str | None = None, **values: Any) -> Words:
        named = {"owner": owner} if verb else {}
        place = (owner,) if owner and not verb else ()
        return ("machine", "quota", *verb, *place, *_options({**named, **values}))

    return words


def group(verb: str, *places: str) -> Callable[..., Words]:
    """Makes the words of `machine group`."""

    def words(**values: Any) -> Words:
        return ("machine", "group", verb, *(str(values.pop(place)) for place in places), *_options(values))

    return words


def _options(values: dict[str, Any]) -> Words:
    found: list[str] = []
    for name, value in values.items():
        each = value if isinstance(value, tuple) else (value,)
        for one in each:
            if one not in (None, False):
                option = f"--{name.rstrip('_').replace('_', '-')}"
                found.append(option if one is True else f"{option}={one}")
    return tuple(found)


def translated(line: str) -> str:
    """A line of the server's, where it tells what to type, or who speaks."""
    line = re.sub(r"^(machine|control|admin)( \S+)?: ", "invirt: ", line)

    def ours(found: re.Match[str]) -> str:
        if found[1]:
            return f"invirt {_SPOKEN[f'machine {found[1]}']}"
        return f"invirt {_SPOKEN[f'control {found[3]}']} {found[2]}"

    return _THEIRS.sub(ours, line)


def coloured(line: str) -> str:
    """The states of machines and operations as one sees them from afar, and a table's head."""
    if re.fullmatch(r"[A-Z][A-Z ]+", line):
        return f"\033[1m{line}\033[0m"
    for words, shade in (("running|done", 32), ("stuck|failed|undone", 31), ("off", 2)):
        line = re.sub(rf"(?<![\w-])({words})(?![\w-])", rf"\033[{shade}m\1\033[0m", line)
    return line
