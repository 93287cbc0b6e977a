"""What consoles have said, bounded in all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from invirt.host.console import logs


def test_the_logs_that_were_longest_not_written_to_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "FOLDER", tmp_path)
    for number in (1, 2, 3, 4):
        logs.path(number).write_bytes(b"x" * 1000)
        os.utime(logs.path(number), (0, 100 - number))
    logs.bound(everything=2500)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["1.log", "2.log"]
