"""Members as the real NSS tells them, of files in a mount namespace."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.parts.postgres import Database

PASSWD = """\
root:x:0:0::/root:/bin/sh
alice:x:1001:1001::/:/bin/sh
bob:x:1002:3000::/:/bin/sh
daemon2:x:200:3000::/:/bin/sh
odd;name:x:1003:1003::/:/bin/sh
"""
GROUP = """\
root:x:0:
robotics:x:3000:alice,root
half:x:3001:alice,ghost
empty:x:3002:
odd:x:3003:odd;name
"""
ROOT = Path(__file__).parents[3]


def ask(folder: Path, database: Database, name: str) -> tuple[int, object]:
    """What the program says where NSS has those files."""
    (folder / "passwd").write_text(PASSWD)
    (folder / "group").write_text(GROUP)
    script = (
        f"mount --bind {folder}/passwd /etc/passwd && mount --bind {folder}/group /etc/group"
        f' && exec {ROOT}/scripts/env invirt-database-members ask unix "$1" --json'
    )
    argv = ["unshare", "--mount", "sh", "-c", script, "sh", name]
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "INVIRT_CONFIG": str(database.config)}
    done = subprocess.run(argv, capture_output=True, text=True, env=environment, timeout=60, check=False)
    return done.returncode, json.loads(done.stdout)


def test_who_is_listed_and_whose_primary_group_it_is(site: Database, tmp_path: Path) -> None:
    """Accounts of the system own nothing."""
    assert ask(tmp_path, site, "robotics") == (0, ["alice@INVIRT.TEST", "bob@INVIRT.TEST"])
    assert ask(tmp_path, site, "empty") == (0, [])


@pytest.mark.parametrize(
    ("name", "said"),
    [("half", "knows no user ghost"), ("ghost", "knows no group"), ("odd", "not a principal")],
)
def test_what_is_not_whole_and_sound_is_no_answer(
    site: Database, tmp_path: Path, name: str, said: str
) -> None:
    code, found = ask(tmp_path, site, name)
    assert code != 0 and isinstance(found, dict) and said in found["error"]
