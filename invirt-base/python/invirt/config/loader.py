"""Reads YAML against dataclasses: invirt.yaml against those of schema.py.

It walks the nodes of yaml.compose(), not the values of yaml.load(): nodes know
their line, keep duplicate keys, and leave `no` and `010` as they were written.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml

from invirt.base.errors import BadConfig
from invirt.config.forms import Form, Range

EXAMPLE = "/usr/share/doc/invirt-base/examples/invirt.yaml shows every key."
DEEPEST = 20  # collections in one another
T = TypeVar("T")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(path: Path, kind: type[T]) -> T:
    """What path holds, as the dataclass kind; raises BadConfig with file, line and key."""
    try:
        text = path.read_bytes()
        _refuse_depths(text)
        root = yaml.compose(text, Loader=_LOADER)
    except FileNotFoundError as error:
        raise BadConfig(f"{path} doesn't exist", hint=f"Write it; {EXAMPLE}") from error
    except (OSError, yaml.YAMLError, UnicodeError) as error:
        raise _unreadable(path, error) from error
    found: T = _Reader(path).value(root, kind, "")
    return found


def _refuse_depths(text: bytes) -> None:
    """Raise YAMLError for what is nested so deeply that yaml.compose() would crash the process."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            mark: Any = event.start_mark
            raise yaml.MarkedYAMLError(problem="nested too deeply", problem_mark=mark)


def _unreadable(path: Path, error: Exception) -> BadConfig:
    """The error for a file that is no YAML, with the line where the parser stopped."""
    mark = getattr(error, "problem_mark", None)
    where = f"{path}:{mark.line + 1}" if mark else str(path)
    said = getattr(error, "problem", None) or getattr(error, "strerror", None) or str(error)
    return BadConfig(f"{where}: can't be read as YAML: {' '.join(str(said).split())}")


class _Reader:
    """Turns nodes into values of the types that the schema asks for."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def error(self, node: yaml.Node | None, key: str, wrong: str, hint: str = "") -> BadConfig:
        line = node.start_mark.line + 1 if node else 1
        return BadConfig(
            f"{self.path}:{line}: {key}: {wrong}" if key else f"{self.path}:{line}: {wrong}", hint
        )

    def value(self, node: yaml.Node | None, kind: Any, key: str) -> Any:
        """node as a value of kind, which stands at key."""
        if typing.get_origin(kind) is Annotated:
            base, *rules = typing.get_args(kind)
            found = self.value(node, base, key)
            self.check(node, found, rules, key)
            return found
        if dataclasses.is_dataclass(kind):
            return self.section(node, kind, key)
        if typing.get_origin(kind) is tuple:
            return self.several(node, typing.get_args(kind)[0], key)
        return self.scalar(node, kind, key)

    def check(self, node: yaml.Node | None, value: Any, rules: list[Any], key: str) -> None:
        for rule in rules:
            if isinstance(rule, Form | Range) and not rule.accepts(value):
                raise self.error(node, key, f"{value!r} is not {rule.description}")

    def section(self, node: yaml.Node | None, kind: Any, key: str) -> Any:
        """A mapping, one dataclass."""
        if node is not None and not isinstance(node, yaml.MappingNode):
            if _is_null(node):
                node = None
            else:
                raise self.error(node, key, "keys with values were expected here")
        types = typing.get_type_hints(kind, include_extras=True)
        fields = {field.name: field for field in dataclasses.fields(kind)}
        values = {
            name: self.value(child, types[name], _join(key, name))
            for name, child in self.pairs(node, list(fields), key)
        }
        for name, field in fields.items():
            if name not in values and _is_required(field):
                raise self.error(node, _join(key, name), "missing", hint=EXAMPLE)
        try:
            return kind(**values)
        except ValueError as error:  # values that don't go together
            raise self.error(node, key, str(error)) from error

    def pairs(
        self, node: yaml.MappingNode | None, known: list[str], key: str
    ) -> Iterator[tuple[str, yaml.Node]]:
        """Names and values of a mapping, each of them known and given once."""
        seen: dict[str, int] = {}
        for name_node, child in node.value if node else ():
            name = str(name_node.value) if isinstance(name_node, yaml.ScalarNode) else "(not a word)"
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f"Did you mean {near[0]}?" if near else f"Known here: {', '.join(known)}."
                raise self.error(name_node, _join(key, name), "unknown key", hint)
            if name in seen:
                raise self.error(name_node, _join(key, name), f"given twice, first in line {seen[name]}")
            seen[name] = name_node.start_mark.line + 1
            yield name, child

    def several(self, node: yaml.Node | None, kind: Any, key: str) -> tuple[Any, ...]:
        """A list."""
        if not isinstance(node, yaml.SequenceNode):
            raise self.error(node, key, "a list was expected, such as [one, two]")
        return tuple(self.value(child, kind, key) for child in node.value)

    def scalar(self, node: yaml.Node | None, kind: type, key: str) -> str | int | bool:
        """One word, number or true/false."""
        if node is None or _is_null(node):
            raise self.error(node, key, "no value given")
        tag, text = node.tag.rpartition(":")[2], node.value
        if isinstance(node, yaml.ScalarNode):
            if kind is str and tag == "str":
                return str(text)
            if kind is int and tag == "int" and re.fullmatch(r"-?(0|[1-9][0-9]{0,17})", text):
                return int(text)
            if kind is bool and text in ("true", "false"):
                return bool(text == "true")
        wanted = {str: "text", int: "a whole number", bool: "true or false"}[kind]
        hint = f'Put it in quotes: "{text}"' if kind is str and isinstance(node, yaml.ScalarNode) else ""
        raise self.error(node, key, f"{wanted} was expected", hint)


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _is_null(node: yaml.Node) -> bool:
    return bool(node.tag == "tag:yaml.org,2002:null")


def _is_required(field: dataclasses.Field[Any]) -> bool:
    """Without a default, or a section."""
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
