"""What every test stands on: our own code from the checkout, and the parts as fixtures."""

from __future__ import annotations

import sys
from pathlib import Path

for _role in ("base", "database", "remote", "host"):
    sys.path.insert(0, str(Path(__file__).parent.parent / f"invirt-{_role}" / "python"))

pytest_plugins = ["tests.parts.postgres", "tests.parts.realm"]
