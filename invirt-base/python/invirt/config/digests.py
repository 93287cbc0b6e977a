"""What tells whether two servers go by the same invirt.yaml, a section at a time."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

from invirt.config.schema import Config


def sections(config: Config) -> dict[str, str]:
    """A digest of each section of config: of what is said there, not of how it is written.

    What is as it is when left out doesn't count, so a version that knows more keys finds the same.
    """
    return {field.name: _digest(getattr(config, field.name)) for field in dataclasses.fields(config)}


def _digest(section: Any) -> str:
    text = json.dumps(_said(section), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _said(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_said(one) for one in value]
    if not dataclasses.is_dataclass(value):
        return value
    return {
        field.name: _said(own)
        for field in dataclasses.fields(value)
        if (own := getattr(value, field.name)) != _default(field)
    }


def _default(field: dataclasses.Field[Any]) -> Any:
    made = field.default_factory
    return field.default if made is dataclasses.MISSING else made()
