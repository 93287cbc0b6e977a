"""What `invirt-config apply` has read, kept beside its copy of the file: most programs need no more.

YAML and the schema's checks cost 40 ms, more than all else that a short command
does.  It counts only for the very text, and the very schema, that it was made
of; else the file is read again.
"""

from __future__ import annotations

import json
from binascii import crc32
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from invirt.config.schema import Config


def _schema() -> int:
    return crc32(Path(__file__).with_name("schema.py").read_bytes())


def _text(file: Path) -> str:
    return file.read_bytes().decode(errors="surrogateescape")


def written(file: Path, config: Config) -> str:
    """What is kept of config, as which file was read."""
    return json.dumps({"text": _text(file), "schema": _schema(), "values": _plain(config)}) + "\n"


def _plain(value: Any) -> Any:
    """With what a section tells of itself (its properties), as if that were written there."""
    from dataclasses import fields, is_dataclass

    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if not is_dataclass(value):
        return value
    told = [name for name, one in vars(type(value)).items() if isinstance(one, property)]
    return {name: _plain(getattr(value, name)) for name in (*(one.name for one in fields(value)), *told)}


def read(kept: Path, file: Path) -> Any:
    """The values of what file says now, with Config's attributes; None if kept is not of it."""
    try:
        found = json.loads(kept.read_bytes())
        if found["text"] != _text(file) or found["schema"] != _schema():
            return None
        return SimpleNamespace(**{name: _values(value) for name, value in found["values"].items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _values(value: Any) -> Any:
    if isinstance(value, dict):
        return SimpleNamespace(**{name: _values(one) for name, one in value.items()})
    return tuple(map(_values, value)) if isinstance(value, list) else value
