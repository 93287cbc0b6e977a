"""invirt-getconf: values of invirt.yaml for shell scripts."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
from typing import Any

from invirt import config
from invirt.base.cli import Command
from invirt.base.errors import NotFound


def _values(section: Any, prefix: str = "") -> dict[str, Any]:
    """All values by their dotted keys."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(section):
        key, value = prefix + field.name, getattr(section, field.name)
        found |= _values(value, f"{key}.") if dataclasses.is_dataclass(value) else {key: value}
    return found


def lines(value: Any) -> list[str]:
    """A value as the shell gets it: one line, or one for each of a list."""
    if isinstance(value, tuple):
        return [line for part in value for line in lines(part)]
    return [str(value).lower() if isinstance(value, bool) else str(value)]


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "key", nargs="?", help="such as remote.hostname; without it all are listed as KEY=VALUE"
    )


def _run(arguments: argparse.Namespace) -> None:
    values = _values(config.current())
    if arguments.key is None:
        for key, value in values.items():
            print(f"{key}={' '.join(lines(value))}")
    elif arguments.key in values:
        print("".join(f"{line}\n" for line in lines(values[arguments.key])), end="")
    else:
        near = difflib.get_close_matches(arguments.key, values, 1)
        hint = f"Did you mean {near[0]}?" if near else "invirt-getconf without a key lists all."
        raise NotFound(f"there is no key {arguments.key!a}", hint)


COMMAND = Command(
    name="invirt-getconf",
    section=1,
    summary="Print a value of invirt.yaml.",
    description="Lists are printed one value a line. An unknown key ends with status 3.",
    example="host=$(invirt-getconf remote.hostname)",
    arguments=_arguments,
    run=_run,
)
