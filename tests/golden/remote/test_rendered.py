"""What remconffs serves and what users are told, against files.

After a change that is meant: INVIRT_UPDATE_GOLDEN=1 python3 -m pytest
tests/golden/remote, then read the diff.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from invirt.base import remctl
from invirt.base.cli import Command, whole
from invirt.remote import remconffs
from invirt.remote.commands import control, machine, web
from tests.golden.compare import compare

EXPECTED = Path(__file__).parent / "expected"
ACCESS = [
    ("remus", ["alice@INVIRT.TEST", "bob@INVIRT.TEST"]),
    ("romulus", ["bob/admin@INVIRT.TEST"]),
    ("unowned", []),
    ("bad\nname", ["alice@INVIRT.TEST"]),
    ("careful", ["ANYUSER", "x\ny@Z", "pcre:.*@Z", "#c@Z", "a b@Z", "alice@INVIRT.TEST"]),
]


def test_remconffs() -> None:
    snapshot = remconffs.render(7, ACCESS)
    compare(
        "".join(f"== {path}\n{text.decode()}" for path, text in snapshot.files.items()),
        EXPECTED / "remconffs",
    )
    assert snapshot.names("/acl") == ["remus", "romulus", "unowned", "careful", "ALL"]


COMMANDS = {"machine": machine.COMMAND, "control": control.COMMAND, "web": web.COMMAND}


@pytest.mark.parametrize(("name", "command"), COMMANDS.items())
def test_summary(name: str, command: Command) -> None:
    compare(remctl.summary_text(whole(command, name)), EXPECTED / f"{name}.summary")
