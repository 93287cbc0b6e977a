"""What all tests share: the checkout's roots, a scrubbed environment, fixtures of parts.

The fixtures of parts are plugins in tests/parts; one that lies in the list
below can be used by any test.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parent.parent
ROOTS = [str(ROOT), str(ROOT / "scripts"), *map(str, sorted(ROOT.glob("invirt-*/python")))]

sys.path[:0] = ROOTS
os.environ["PYTHONPATH"] = os.pathsep.join(ROOTS)
os.environ["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
for name in [name for name in os.environ if name.startswith(("KRB5", "REMOTE_", "REMCTL_"))]:
    del os.environ[name]
os.environ["INVIRT_CONFIG"] = "/nonexistent/invirt.yaml"  # a test that needs one makes it

# The machine may be busy, so no example has a deadline; scripts/test nightly takes thousands of examples.
settings.register_profile(
    "invirt", deadline=None, database=None, max_examples=int(os.environ.get("INVIRT_TEST_EXAMPLES", "100"))
)
settings.load_profile("invirt")

pytest_plugins = ["tests.parts.postgres", "tests.parts.realm", "tests.examples", "tests.results"]


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The folder of the whole project."""
    return ROOT


@pytest.fixture
def invirt_yaml(tmp_path: Path) -> Iterator[Path]:
    """A small invirt.yaml that is the current one for the length of the test."""
    from invirt import config

    file = tmp_path / "invirt.yaml"
    file.write_text(
        "site: {domain: invirt.test, realm: INVIRT.TEST}\n"
        "database: {hostname: db.invirt.test}\n"
        "remote: {hostname: remote.invirt.test}\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INVIRT_CONFIG", str(file))
        config.reload()
        yield file
    config.reload()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Append this run's counts, passed failed skipped, to a file for scripts/test.

    A worker of pytest-xdist counts nothing: the process that started it counts all.
    """
    file = os.environ.get("INVIRT_TEST_COUNTS")
    if file and not hasattr(terminalreporter.config, "workerinput"):
        passed, failed, errors, skipped = (
            len(terminalreporter.stats.get(kind, [])) for kind in ("passed", "failed", "error", "skipped")
        )
        with Path(file).open("a") as counted:
            print(passed, failed + errors, skipped, file=counted)
