"""What --help says of a row."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from invirt.base.cli.rows import Argument, Flag, Group, Option, Place, Verb

WIDTH = 90  # letters of a line
COLUMN = 26  # letters of what is explained, before the explanation


def title(argument: Argument) -> str:
    """How an option or an argument is written."""
    if not isinstance(argument, Option):
        return argument.shown
    names = ", ".join(argument.names)
    return names if isinstance(argument, Flag) else f"{names} {argument.shown}"


def explained(arguments: Iterable[Argument]) -> Iterator[tuple[str, str]]:
    """Title and help of each that isn't hidden."""
    for argument in arguments:
        if not (isinstance(argument, Option) and argument.hidden):
            yield title(argument), argument.told


def _section(heading: str, pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    lines = [line for pair in pairs for line in _pair(*pair)]
    if lines:
        yield "\n".join([f"{heading}:", *lines])


def _pair(name: str, about: str) -> list[str]:
    wrapped = textwrap.wrap(about, WIDTH - COLUMN - 2) or [""]
    if len(name) > COLUMN - 2:
        return [f"  {name}", *(f"  {'':{COLUMN}}{line}".rstrip() for line in wrapped)]
    first, *others = wrapped
    return [f"  {name:{COLUMN}}{first}".rstrip(), *(f"  {'':{COLUMN}}{line}" for line in others)]


def text(place: Place) -> str:
    """How it is used, what it does, what it takes, and an example."""
    usage = textwrap.fill(f"usage: {place.usage}", WIDTH, subsequent_indent="    ", break_on_hyphens=False)
    parts = [usage, textwrap.fill(place.row.summary, WIDTH)]
    if place.description:
        parts.append(textwrap.fill(place.description, WIDTH))
    parts += _section("Arguments", explained(place.row.places))
    if isinstance(place.row, Group):
        parts += _section("Verbs", ((row.name, row.summary) for row in place.row.verbs))
        if place.row.bare:
            parts.append(f"Where none is named, {place.row.bare} is meant.")
    options = [*explained(place.row.options), ("-h, --help", "show this text")]
    parts += _section("Options", options)
    if isinstance(place.row, Verb):
        parts.append(f"Who may: {place.row.who.value}.")
    parts.append("Example:\n  " + place.example.replace("\n", "\n  "))
    return "\n\n".join(parts) + "\n"
