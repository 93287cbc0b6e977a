"""What PostgreSQL reads, against files.

After a change that is meant: INVIRT_UPDATE_GOLDEN=1 python3 -m pytest
tests/golden/database, then read the diff.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from invirt.base import templates

EXPECTED = Path(__file__).parent / "expected"


@pytest.mark.parametrize("name", ["postgresql.conf", "pg_hba.conf", "pg_ident.conf"])
def test_rendered(name: str, invirt_yaml: Path, checkout: Path) -> None:
    text = templates.render(checkout / "invirt-database/files/etc/invirt/postgresql" / f"{name}.mako")
    if os.environ.get("INVIRT_UPDATE_GOLDEN"):
        (EXPECTED / name).write_text(text)
    assert text == (EXPECTED / name).read_text()
