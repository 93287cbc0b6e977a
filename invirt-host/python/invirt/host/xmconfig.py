"""Evaluates a domain's configuration, which is a Python file as in 2008's xm.

The key=values of `xm create CONFIG key=value...` are variables in the file; those
that are words of xl.cfg(5) count more than what the file says. What it leaves
behind in such words is the domain's configuration; names with a leading _ are
its own.
"""

from __future__ import annotations

import ast
import re
import traceback
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from invirt.base.errors import BadInput, InvirtError, NotFound
from invirt.host import paths
from invirt.host.domain import DomainConfig
from invirt.host.words import KNOWN, Value

XL = "See xl.cfg(5); names of the file's own begin with _."


def find(name: str) -> Path:
    """The file that `xm create NAME` means: a path, or a name in /etc/xen.  NotFound if there is none."""
    path = Path(name) if "/" in name else paths.xen() / name
    if not path.is_file():
        raise NotFound(f"there is no configuration {path}")
    return path


def evaluate(path: Path, variables: Mapping[str, Value]) -> DomainConfig:
    """Run the file and collect what it set; BadInput names file, line and word of a fault.

    variables: seen by the file; one that is a word of a configuration stands against the file's own.
    """
    text, names = _read(path), dict[str, object](variables)
    try:
        tree = ast.parse(text, str(path))
        exec(compile(tree, str(path), "exec"), names)
    except InvirtError:
        raise
    except Exception as error:
        raise BadInput(f"{path}:{_line(path, error)}: {type(error).__name__}: {error}") from error
    for name in variables:
        if name not in KNOWN and not re.search(rf"\b{name}\b", text):
            raise BadInput(f"{path} makes no use of {name}=", hint=XL)

    @cache
    def lines() -> Mapping[str, str]:
        return _places(path, tree)

    def place(word: str) -> str | None:  # asked by who errs: to find it out takes a fifth of all this
        return "command line" if word in variables else lines().get(word)

    said = names | {name: value for name, value in variables.items() if name in KNOWN}
    settings = {
        name: _checked(name, value, lambda word: place(word) or str(path))
        for name, value in said.items()
        if name in KNOWN or name not in variables
        if _is_setting(name, value)
    }
    return _whole(path, DomainConfig(settings, place))


def checked(said: Mapping[str, object]) -> dict[str, Value]:
    """Settings that another host sends, each as it may be; BadInput."""
    return {name: _checked(name, value, lambda _: "the other host") for name, value in said.items()}


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeError as error:
        raise BadInput(f"{path} is not UTF-8") from error


def _places(path: Path, tree: ast.AST) -> dict[str, str]:
    """FILE:LINE of each name, where it was last set."""
    lines: dict[str, int] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            lines[node.id] = max(node.lineno, lines.get(node.id, 0))
    return {name: f"{path}:{line}" for name, line in lines.items()}


def _is_setting(name: str, value: object) -> bool:
    """What the file works with isn't one (modules, functions, names with _), nor what it leaves empty."""
    if name.startswith("_") or value is None or value in ("", [], ()):
        return False
    return name in KNOWN or isinstance(value, str | bytes | int | float | list | tuple | dict | set)


def _checked(name: str, value: object, place: Callable[[str], str]) -> Value:
    if name not in KNOWN:
        raise BadInput(f"{place(name)}: {name} is not a word that a domain's configuration knows", hint=XL)
    try:
        return KNOWN[name](value)
    except ValueError as error:
        raise BadInput(f"{place(name)}: {name}: {error}") from error


def _whole(path: Path, config: DomainConfig) -> DomainConfig:
    """config, which must say what none can do without, and nothing twice."""
    for word in ("name", "memory"):
        if word not in config.settings:
            raise BadInput(f"{path} sets no {word}")
    names = [disk["vdev"] for disk in config.devices("disk")]
    if len(set(names)) < len(names):
        raise config.refusal("disk", f"names one vdev twice: {', '.join(names)}")
    if config.text("cmdline") and (config.text("root") or config.text("extra")):
        raise config.refusal("cmdline", "stands beside root or extra", hint="It is the whole command line.")
    return config


def _line(path: Path, error: Exception) -> int:
    """Where in the file the error came up."""
    if isinstance(error, SyntaxError):
        return error.lineno or 0
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    return (lines[-1] if lines else 0) or 0
