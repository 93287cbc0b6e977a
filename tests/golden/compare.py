"""What is rendered, against a file."""

from __future__ import annotations

import os
from pathlib import Path


def compare(text: str, expected: Path) -> None:
    """text must be what expected holds, or becomes it where that is asked for."""
    if os.environ.get("INVIRT_UPDATE_GOLDEN"):
        expected.parent.mkdir(parents=True, exist_ok=True)
        expected.write_text(text)
    assert expected.exists(), "new? INVIRT_UPDATE_GOLDEN=1 writes it"
    assert text == expected.read_text()
