"""scripts/test counts each test once, however many processes share them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_workers_count_nothing(checkout: Path, tmp_path: Path) -> None:
    counts = tmp_path / "counts"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment["INVIRT_TEST_COUNTS"] = str(counts)
    argv = [sys.executable, "-m", "pytest", "-n", "2", "tests/golden/host"]
    done = subprocess.run(argv, cwd=checkout, env=environment, capture_output=True, check=True, timeout=300)
    [line] = counts.read_text().splitlines()
    passed, failed, skipped = map(int, line.split())
    assert done.stdout.count(b".") >= passed > 0 == failed == skipped
