"""The whitelists that types of invirt.yaml's values are made of."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Form:
    """A whitelist for a text: the whole of it must match the pattern."""

    description: str
    pattern: str

    def accepts(self, value: str) -> bool:
        """Whether value is of this form."""
        return re.fullmatch(self.pattern, value, re.ASCII) is not None


@dataclass(frozen=True)
class Range:
    """The least and the greatest value of a number."""

    least: int
    greatest: int = 2**31 - 1

    @property
    def description(self) -> str:
        """For error messages."""
        return f"between {self.least} and {self.greatest}"

    def accepts(self, value: int) -> bool:
        """Whether value is in the range."""
        return self.least <= value <= self.greatest
