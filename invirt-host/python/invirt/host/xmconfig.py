"""Evaluates a domain's configuration, which is a Python file as in 2008's xm.

The key=values of `xm create CONFIG key=value...` are variables in the file.
What it leaves behind as strings, integers and lists, in the words of
xl.cfg(5), is the domain's configuration; names with a leading _ are its own.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import TypeGuard

from invirt.base.errors import BadInput, InvirtError, NotFound
from invirt.host import paths
from invirt.host.domain import OWN_WORDS, WORDS, DomainConfig, Value


def find(name: str) -> Path:
    """The file that `xm create NAME` means: a path, or a name in /etc/xen.  NotFound if there is none."""
    path = Path(name) if "/" in name else paths.xen() / name
    if not path.is_file():
        raise NotFound(f"there is no configuration {path}")
    return path


def evaluate(path: Path, variables: Mapping[str, str]) -> DomainConfig:
    """Run the file and collect what it set; BadInput names the file and line of a fault."""
    names: dict[str, object] = dict(variables)
    try:
        exec(compile(path.read_text(), str(path), "exec"), names)
    except InvirtError:
        raise
    except Exception as error:
        raise BadInput(f"{path}:{_line(path, error)}: {type(error).__name__}: {error}") from error
    settings: dict[str, Value] = {}
    for name, value in names.items():
        if name not in variables and _is_setting(value, name):
            settings[name] = value
    for word in settings:
        if word not in WORDS | OWN_WORDS:
            raise BadInput(
                f"{path}: {word} is not a word that a domain's configuration knows",
                hint="See xl.cfg(5); names of the file's own begin with _.",
            )
    if "name" not in settings:
        raise BadInput(f"{path} sets no name")
    return DomainConfig(settings)


def _is_setting(value: object, name: str) -> TypeGuard[Value]:
    """Modules, functions and objects that the file works with are not, nor what it leaves empty."""
    return not name.startswith("_") and isinstance(value, str | int | list) and value not in ("", [])


def _line(path: Path, error: Exception) -> int:
    """Where in the file the error came up."""
    if isinstance(error, SyntaxError):
        return error.lineno or 0
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    return (lines[-1] if lines else 0) or 0
