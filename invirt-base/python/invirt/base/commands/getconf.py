"""invirt-getconf: values of invirt.yaml for shell scripts."""

from __future__ import annotations

from typing import Any

from invirt import config
from invirt.base.cli import Argument, Command, Who
from invirt.base.errors import NotFound


def _values() -> dict[str, Any]:
    """All values by their dotted keys."""
    sections = {name: vars(one) for name, one in vars(config.values()).items() if hasattr(one, "__dict__")}
    return {f"{name}.{key}": value for name, section in sections.items() for key, value in section.items()}


def lines(value: Any) -> list[str]:
    """A value as the shell gets it: one line, or one for each of a list."""
    if isinstance(value, tuple):
        return [line for part in value for line in lines(part)]
    return [str(value).lower() if isinstance(value, bool) else str(value)]


def _run(key: str | None) -> Any:
    """All values by their keys, or that of one; raises NotFound."""
    values = _values()
    if key is None:
        return values
    if key in values:
        return values[key]
    import difflib  # only for those who err

    near = difflib.get_close_matches(key, values, 1)
    hint = f"Did you mean {near[0]}?" if near else "invirt-getconf without a key lists all."
    raise NotFound(f"there is no key {key!a}", hint)


def _shown(found: Any) -> str:
    if isinstance(found, dict):
        return "".join(f"{key}={' '.join(lines(value))}\n" for key, value in found.items())
    return "".join(f"{line}\n" for line in lines(found))


COMMAND = Command(
    name="invirt-getconf",
    section=1,
    summary="Print a value of invirt.yaml.",
    description="Lists are printed one value a line. An unknown key ends with status 3.",
    example="host=$(invirt-getconf remote.hostname)",
    arguments=(
        Argument(
            "key",
            "such as remote.hostname; without it all are listed as KEY=VALUE",
            metavar="KEY",
            required=False,
        ),
    ),
    who=Who.HERE,
    run=_run,
    shown=_shown,
)
