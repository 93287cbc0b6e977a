"""What a console has said stays with its machine, and stays short."""

from __future__ import annotations

import stat

from invirt.host.console import logs
from tests.parts.console.daemons import start_consoles, start_logins
from tests.parts.console.server import wait
from tests.parts.console.site import Site
from tests.parts.owned import machine

ALL_OF_IT = "\x05cP9999\r\x05cp"  # replay so many lines


def _says(site: Site, name: str, text: bytes) -> None:
    log = site.log(name)
    wait(lambda: log.exists() and text in log.read_bytes(), f"{text!r} of {name}", site.host.output)


def _sees(site: Site, user: str, name: str) -> str:
    """All that the user can bring the console to show."""
    terminal = site.terminal(user, name)
    terminal.expect("for help")
    terminal.send(ALL_OF_IT)
    terminal.expect("playback")
    terminal.sendline("the end")
    terminal.expect("the end\r\nthe end\r\n")
    seen = str(terminal.before)
    terminal.close(force=True)
    return seen


def test_another_owner_of_the_name_sees_nothing_of_the_one_before(consoles: Site) -> None:
    for ending in (
        "DELETE FROM machines WHERE name = 'x'",  # between two looks of the host, or when all is off
        "UPDATE machines SET name = 'y', host_id = NULL WHERE name = 'x'",
    ):
        machine(consoles.database, "x", "alice")
        consoles.boot("x", "echo alices secret; exec cat")
        _says(consoles, "x", b"alices secret")
        mode = consoles.log("x").stat().st_mode
        assert stat.S_IMODE(mode) == 0o600
        assert "alices secret" in _sees(consoles, "alice", "x")
        before = consoles.log("x")
        consoles.database.execute(ending)
        machine(consoles.database, "x", "bob")
        consoles.boot("x", "echo here is bob; exec cat")
        assert "alices secret" not in _sees(consoles, "bob", "x")
        _says(consoles, "x", b"here is bob")
        assert b"alices" not in consoles.log("x").read_bytes()
        gone = ending.startswith("DELETE")
        wait(lambda gone=gone, before=before: before.exists() is not gone, "the log goes with its machine")
        consoles.halt("x")
        consoles.database.execute("DELETE FROM machines WHERE name = 'x'")


def test_a_machine_keeps_its_history_under_another_name(consoles: Site) -> None:
    machine(consoles.database, "x", "alice")
    consoles.boot("x", "echo once; exec cat")
    _says(consoles, "x", b"once")
    consoles.halt("x")
    consoles.database.execute("UPDATE machines SET name = 'y' WHERE name = 'x'")
    consoles.boot("y")
    assert "once" in _sees(consoles, "alice", "y")


def test_what_a_guest_writes_without_end_is_bounded_meanwhile(consoles: Site) -> None:
    machine(consoles.database, "x")
    consoles.boot("x", "exec yes")
    log = consoles.log("x")
    cuts, last = 0, 0
    size = 0

    def cut() -> bool:
        nonlocal cuts, last, size
        now = log.stat().st_size if log.exists() else 0
        size, cuts, last = max(size, now), cuts + (now < last), now
        return cuts >= 3

    wait(cut, "cuts")
    assert size < 512 << 20
    assert len(list(log.parent.glob(f"{log.stem}*"))) == 1
    consoles.halt("x")
    wait(lambda: log.stat().st_size <= logs.LONGEST, "a short log")


def test_logs_by_name_are_nobodys(site: Site) -> None:
    folder = site.host.folder / "log/conserver"
    for name in ("remus.log", "remus.log-20260101-101010", "17.log"):
        (folder / name).write_text("whose?")
    start_logins(site)
    start_consoles(site)
    wait(lambda: not list(folder.iterdir()), "an empty folder", site.host.output)
