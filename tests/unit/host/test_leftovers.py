"""What domains leave on a host goes with their machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from invirt.base.errors import Busy
from invirt.host import leftovers, paths, tokens
from invirt.host.domain import DomainConfig
from invirt.host.qemu.guest import Guest


def left(name: str, number: int) -> Path:
    """A domain that was off and on here; returns its folder."""
    guest = Guest(name)
    paths.write(guest.config_file, DomainConfig({"name": name, "machine": number}).json())
    paths.write(guest.log, "secret")
    paths.write(guest.lock, "")
    paths.write(paths.state() / "domains" / name, "secret")
    return guest.log.parent


def test_what_is_left_of_machines_that_are_gone_or_renamed_goes(state: Path) -> None:
    gone, renamed, kept = left("d_gone", 1), left("d_old", 2), left("d_new", 2)
    replaced, runs, own = left("d_again", 3), left("d_runs", 4), left("own", 0)
    leftovers.sweep({"new": 2, "again": 5}, running=lambda name: name == "d_runs")
    assert [folder.exists() for folder in (gone, renamed, kept)] == [False, False, True]
    assert [folder.exists() for folder in (replaced, runs, own)] == [False, True, True]
    for folder in (state / "domains", state / "run/guests"):
        assert {path.name for path in folder.iterdir()} == {"d_again", "d_new", "d_runs", "own"}


def test_a_folder_that_does_not_say_whose_it_is_goes_at_the_next_boot(state: Path) -> None:
    folder = left("d_remus", 1)
    Guest("d_remus").config_file.write_text("{")
    leftovers.clear(Guest("d_remus"), 1)
    assert not folder.exists()


def test_files_are_roots_alone(state: Path) -> None:
    folder = left("d_remus", 1)
    with tokens.claimed(7, "remus"):
        pass
    folders = [state / "guests", state / "tokens", state / "run", state / "domains"]
    files = [folder, *folders, *folder.iterdir(), *(path for one in folders for path in one.rglob("*"))]
    assert {path.stat().st_mode & 0o077 for path in files} == {0}


def used(name: str, token: int, days: float = 0) -> None:
    """A command came for the name, so many days ago."""
    with tokens.claimed(token, name):
        pass
    path = paths.state() / "tokens" / name
    os.utime(path, (0, path.stat().st_mtime - days * 86400))


def test_forgotten_names_take_no_late_command(state: Path) -> None:
    used("gone", 7, days=2)
    used("kept", 9)
    tokens.forget(86400)
    assert sorted(path.name for path in (state / "tokens").iterdir()) == [tokens.FLOOR, "kept"]
    for name in ("gone", "never"):
        with pytest.raises(Busy, match="too late"), tokens.claimed(7, name):
            pass
        with tokens.claimed(8, name):
            pass
    used("low", 8, days=2)
    tokens.forget(86400)
    assert tokens.seen("anybody") == 8


def test_what_came_before_the_host_was_lost_is_too_late(state: Path) -> None:
    """For names of which it has never heard, too; and what is old stays so."""
    used("kept", 9)
    for floor in (20, 15):
        tokens.outdate(floor)
        for name in ("kept", "never"):
            with pytest.raises(Busy, match="too late"), tokens.claimed(20, name):
                pass
    with tokens.claimed(21, "kept"):
        pass


@pytest.mark.parametrize("act", ["rename", "unlink"])
def test_a_kill_while_a_name_is_forgotten_loses_no_token(
    state: Path, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    """Before the floor is raised, and before the name's own token is removed."""
    used("gone", 7, days=2)
    usual = getattr(Path, act)

    def killed(path: Path, *about: object, **more: object) -> object:
        if path.name == "gone" or act == "rename":
            raise KeyboardInterrupt
        return usual(path, *about, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Path, act, killed)
        with pytest.raises(KeyboardInterrupt):
            tokens.forget(86400)
    assert tokens.seen("gone") == 7
    tokens.forget(86400)
    assert tokens.seen("gone") == 7
    assert not (state / "tokens/gone").exists()
