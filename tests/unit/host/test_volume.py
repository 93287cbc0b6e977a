"""The volume commands on files."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from invirt.base.errors import Busy
from invirt.host.storage.files import GIB, FileStorage

from .conftest import Host


@pytest.fixture
def hda(host: Host, state: Path) -> Path:
    """A disk of remus of 2 GiB."""
    assert host("volume", "create", "remus", "hda", 2) == 0
    return state / "volumes/d_remus_hda"


def test_create_makes_a_sparse_file_for_root_only(hda: Path) -> None:
    assert hda.stat().st_size == 2 * GIB
    assert hda.stat().st_blocks == 0
    assert hda.stat().st_mode & 0o777 == 0o600


def test_create_again(host: Host, hda: Path) -> None:
    assert host("volume", "create", "remus", "hda", 2) == 0
    assert host("volume", "create", "remus", "hda", 3) == 2
    assert host("volume", "list") == [{"name": "remus", "disk": "hda", "size": 2}]


def test_a_disk_with_data_is_never_taken_for_a_new_one(host: Host, hda: Path) -> None:
    with hda.open("r+b") as file:
        file.write(b"somebody's data")
        os.fsync(file.fileno())
    assert host("volume", "create", "remus", "hda", 2) == 2
    with hda.open("rb") as file:
        assert file.read(10) == b"somebody's"


def test_half_made_disk_of_a_killed_run(host: Host, state: Path) -> None:
    (state / "volumes").mkdir()
    (state / "volumes/.d_remus_hda.new").write_bytes(b"x")
    assert host("volume", "create", "remus", "hda", 1) == 0
    assert host("volume", "list") == [{"name": "remus", "disk": "hda", "size": 1}]


def test_resize_grows_only(host: Host, hda: Path) -> None:
    assert host("volume", "resize", "remus", "hda", 3) == 0
    assert host("volume", "resize", "remus", "hda", 3) == 0
    assert host("volume", "resize", "remus", "hda", 2) == 2
    assert host("volume", "resize", "remus", "hdb", 2) == 3
    assert hda.stat().st_size == 3 * GIB


def test_rename(host: Host, hda: Path) -> None:
    for _ in range(2):
        assert host("volume", "rename", "remus", "hda", "romulus", "hdb") == 0
    assert host("volume", "list") == [{"name": "romulus", "disk": "hdb", "size": 2}]
    assert host("volume", "rename", "nobody", "hda", "remus", "hda") == 3


def test_rename_never_replaces(host: Host, hda: Path) -> None:
    host("volume", "create", "romulus", "hda", 1)
    assert host("volume", "rename", "remus", "hda", "romulus", "hda") == 2
    assert len(host("volume", "list")) == 2


def test_rename_moves_the_tokens_of_both(host: Host, hda: Path) -> None:
    host("volume", "rename", "remus", "hda", "romulus", "hda", token=9)
    assert host("domain", "create", "remus", token=8) == Busy.exit_code
    assert host("domain", "create", "romulus", token=8) == Busy.exit_code
    host("domain", "create", "twin", token=20)
    assert host("volume", "rename", "romulus", "hda", "twin", "hda", token=10) == Busy.exit_code


def test_remove_and_restore(host: Host, hda: Path) -> None:
    for _ in range(2):
        assert host("volume", "remove", "remus", "hda", 17) == 0
    assert not hda.exists()
    assert host("volume", "list") == [{"name": "remus", "disk": "hda", "size": 2, "trash": 17}]
    assert host("volume", "restore", "remus", "hda", 18) == 3
    for _ in range(2):
        assert host("volume", "restore", "remus", "hda", 17) == 0
    assert host("volume", "list") == [{"name": "remus", "disk": "hda", "size": 2}]


def test_restore_never_replaces(host: Host, hda: Path) -> None:
    host("volume", "remove", "remus", "hda", 17)
    host("volume", "create", "remus", "hda", 1)
    assert host("volume", "restore", "remus", "hda", 17) == 2


def test_remove_of_what_never_was(host: Host) -> None:
    assert host("volume", "remove", "remus", "hda", 17) == 0


def test_only_what_was_purged_is_wiped(host: Host, hda: Path, state: Path) -> None:
    """However old the rest is: when it ends, the remote server says."""
    trash = state / "volumes/trash"
    host("volume", "remove", "remus", "hda", 17)
    old = f"trash.3.{int(time.time()) - 8 * 86400}.d_inode_hda"
    for name in (old, "somebody-elses", "purge.x.d_inode_hda"):
        (trash / name).write_bytes(b"old")
    disks = FileStorage(str(state / "volumes"))
    assert disks.wipe_ended() == []
    for _ in range(2):
        assert host("volume", "purge", "remus", "hda", 17) == 0
    assert [row["name"] for row in host("volume", "list")] == ["inode"]
    assert host("volume", "undelete", "remus", "hda", 17, "remus", "hda") == 3
    [ended] = disks.wipe_ended()
    assert ended.startswith("purge.17.") and ended.endswith(".d_remus_hda")
    assert sorted(path.name for path in trash.iterdir()) == ["purge.x.d_inode_hda", "somebody-elses", old]


def test_undelete_for_another_machine_and_back(host: Host, hda: Path) -> None:
    host("volume", "remove", "remus", "hda", 17)
    host("volume", "create", "remus", "hda", 1)
    there = {"name": "remus", "disk": "hda", "size": 1}
    for _ in range(2):
        assert host("volume", "undelete", "remus", "hda", 17, "romulus", "hdb") == 0
    assert host("volume", "list") == [there, {"name": "romulus", "disk": "hdb", "size": 2}]
    for _ in range(2):
        assert host("volume", "return", "remus", "hda", 17, "romulus", "hdb") == 0
    assert host("volume", "list") == [there, {"name": "remus", "disk": "hda", "size": 2, "trash": 17}]
    assert host("volume", "undelete", "remus", "hda", 17, "remus", "hda") == 2


def test_what_is_in_the_trash_has_tokens_of_its_own(host: Host, hda: Path) -> None:
    """Not its old name's, which another machine may have; and none is obeyed late."""
    host("volume", "remove", "remus", "hda", 17, token=5)
    host("volume", "undelete", "remus", "hda", 17, "romulus", "hda", token=9)
    host("volume", "return", "remus", "hda", 17, "romulus", "hda", token=10)
    assert host("volume", "purge", "remus", "hda", 17, token=8) == Busy.exit_code
    assert host("volume", "undelete", "remus", "hda", 17, "twin", "hda", token=9) == Busy.exit_code
    assert host("domain", "create", "remus", token=6) == 0


@pytest.mark.parametrize("words", [("remus", "sda", 1, 1), ("remus", "hda", 0, 1), ("remus", "hda", -1, 1)])
def test_bad_words(host: Host, words: tuple[object, ...]) -> None:
    assert host("volume", "create", *words) == 2
