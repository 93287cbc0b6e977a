"""A host that is lost: not before it is certain, then elsewhere; and what wakes all the same is told."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from invirt import config
from invirt.base.cli import Call, Found
from invirt.base.errors import BadConfig, Busy, CommandFailed, InvirtError, NoRoom, NotFound
from invirt.base.names import MachineName
from invirt.remote import fleet, lost, session, wanted
from invirt.remote.commands import admin
from invirt.remote.operations import begin, silence
from tests.parts.operations.conftest import HOST1, HOST2, OWN_POOL, Site
from tests.parts.operations.fakehosts import Killed
from tests.parts.operations.losing import ADMIN, NAMES, SIGN, cut_off, die, is_lost, lose, up
from tests.parts.postgres import Database

__all__ = ["up"]  # a fixture


@pytest.fixture
def fence(site: Site, database: Database, tmp_path: Path) -> Callable[[str, int], None]:
    """Sets the fence: a script of these lines, and its deadline in seconds."""

    def set(script: str, deadline: int = 60) -> None:
        program = tmp_path / "fence"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        text = database.config.read_text()
        lines = f"remote:\n  fence: {program}\n  fence_timeout: {deadline}\n"
        database.config.write_text(text.replace("remote:\n", lines))
        config.reload()

    return set


def test_what_it_ran_boots_elsewhere(up: Site) -> None:
    die(up)
    assert lose(up) == ["m1 host2", "m2 host2", "m3 host2"]
    up.recover()
    assert up.hosts.running() == [(HOST2, name) for name in NAMES]
    up.check()
    by = "root/admin@INVIRT.TEST: its power is off"
    assert up.rows("SELECT lost_by::text FROM hosts WHERE name = 'host1'") == [(by,)]
    because = "SELECT arguments->>'because' FROM operations WHERE kind = 'boot' ORDER BY 1 LIMIT 1"
    assert up.rows(because) == [("host1 was lost",)]
    up.submit("destroy", "m2")
    assert lose(up) == ["m1 host2", "m3 host2"], "said again"


@pytest.mark.parametrize("listed", [False, True])
def test_what_the_timer_boots_meanwhile_is_told(
    up: Site, monkeypatch: pytest.MonkeyPatch, listed: bool
) -> None:
    """Its turn comes before the list of what is to be booted is made, or after."""
    real = wanted.to_boot

    def to_boot(*words: Any, **more: Any) -> list[MachineName]:
        names = real(*words, **more) if listed else []
        begin("boot", wanted.actor(), MachineName("m2"), hosts=up.hosts, connection=up.remote)
        return names or real(*words, **more)

    die(up)
    with monkeypatch.context() as patch:
        patch.setattr(wanted, "to_boot", to_boot)
        assert sorted(lose(up)) == ["m1 host2", "m2 host2", "m3 host2"]
    up.recover()
    assert up.hosts.running() == [(HOST2, name) for name in NAMES]
    up.check()


@pytest.mark.parametrize("confirm", [None, "power-off", "unplugged"])
def test_one_that_answers_is_not_lost(up: Site, confirm: str | None, fence: Callable[..., None]) -> None:
    """A fence isn't called; nor is one believed that has a sick hypervisor."""
    fence("echo called >&2; exit 3")
    with pytest.raises(Busy, match="answers: it is not lost"):
        lose(up, confirm)
    up.hosts.hosts[HOST1].nonsense = "?"
    with pytest.raises(Busy, match="answers"):
        lose(up, confirm)
    assert not is_lost(up)


def test_a_sign_of_life_refuses(up: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut off from remote, but not from the database."""
    die(up)
    up.rows(SIGN, 2, HOST1)
    with monkeypatch.context() as patch:
        patch.setattr(lost.clock.current, "sleep", lambda _: up.rows(SIGN, 0, HOST1))  # the next comes
        with pytest.raises(Busy, match="gave a sign of life 0 s ago"):
            lose(up)
    assert not is_lost(up)
    up.rows(SIGN, 6, HOST1)  # the last: none comes after it
    assert len(lose(up)) == 3


def test_without_a_fence_someone_has_to_know(up: Site) -> None:
    die(up)
    with pytest.raises(BadConfig, match="isn't known") as refused:
        lose(up, None)
    assert "--confirm power-off" in refused.value.hint
    assert not is_lost(up)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("echo no rights >&2; exit 1", "could not switch host1.invirt.test off: no rights"),
        ("exit 2", "doesn't know host1.invirt.test"),
        ("exit 77", "status 77, which says nothing"),
        ("kill -KILL $$", "status -9, which says nothing"),
        ("exec sleep 30", "no end within 1 seconds"),
        ('[ -z "$HOME" ] && [ "$1 $2" = "off host1.invirt.test" ] && exit 1; exit 0', "could not switch"),
    ],
)
def test_no_word_is_a_no(up: Site, fence: Callable[..., None], lines: str, said: str) -> None:
    die(up)
    fence(lines, 1)
    with pytest.raises(CommandFailed, match=said):
        lose(up, None)
    assert not is_lost(up)
    assert set(up.homes().values()) == {HOST1}


def test_the_fence_kills(up: Site, fence: Callable[..., None]) -> None:
    fence("exit 0")
    up.hosts.hosts[HOST1].up = False
    up.rows(SIGN, 9, HOST1)
    up.hosts.hosts[HOST1].crash()
    assert len(lose(up, None)) == 3
    assert up.rows("SELECT lost_by::text FROM hosts WHERE lost_by IS NOT NULL") == [
        ("root/admin@INVIRT.TEST, by the fence",)
    ]


def test_a_fence_that_lies_is_found_out(up: Site, database: Database, fence: Callable[..., None]) -> None:
    """It says yes, and the host tells the database that it lives; nothing is booted a second time."""
    fence("exit 0")
    up.hosts.hosts[HOST1].up = False
    up.rows(SIGN, 9, HOST1)
    tell = "UPDATE host_signs SET strangers = 0"
    real = lost._refuse_if_it_lives

    def lives(*words: object) -> None:
        up.rows(tell)  # as its observer would, after the fence has ended
        real(*words)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lost, "_refuse_if_it_lives", lives)
        with pytest.raises(Busy, match="sign of life"):
            lose(up, None)
    assert not is_lost(up)
    assert len(up.hosts.running()) == 3


def test_there_may_be_no_room_for_all(up: Site) -> None:
    """What fits boots, in order; the rest is told, and comes when there is room."""
    up.rows("UPDATE hosts SET memory = 256 WHERE name = 'host2'")
    die(up)
    assert lose(up) == ["m1 host2", "m2 host2", "m3"]
    up.rows("UPDATE hosts SET memory = 512 WHERE name = 'host2'")
    up.recover()
    up.recover()
    assert up.homes()["m3"] == HOST2


def test_a_pool_of_its_own_waits_for_it(up: Site) -> None:
    up.rows(OWN_POOL.replace("host2", "host1"))
    up.rows("UPDATE disks SET pool_id = (SELECT max(pool_id) FROM pools) WHERE machine_id ="
            " (SELECT machine_id FROM machines WHERE name = 'm2')")  # fmt: skip
    die(up)
    [found] = [
        one
        for one in lost.lose(up.remote, up.hosts, "host1", "unplugged", ADMIN, silence)
        if one["machine"] == "m2"
    ]
    assert found["what"] == "stays off until host1 is back: its pool own is seen by no other host"
    assert lost.left_off([found]) == NoRoom.exit_code


@pytest.mark.parametrize("kind", ["shutdown", "destroy"])
def test_what_was_to_end_has_ended(up: Site, kind: str) -> None:
    """And stays off: that was its owner's word."""
    cut_off(up, kind, "m2", "create", "destroy", "shutdown", "reboot")
    assert lose(up) == ["m1 host2", "m3 host2"]
    assert up.rows("SELECT state FROM operations WHERE kind = %s", kind) == [("done",)]
    up.recover()
    up.check()


@pytest.mark.parametrize("kind", ["boot", "reboot"])
def test_what_can_not_be_done_any_more_is_undone(up: Site, kind: str) -> None:
    if kind == "boot":
        up.submit("destroy", "m2")
        up.rows("UPDATE hosts SET enabled = false WHERE name = 'host2'")
    cut_off(up, kind, "m2", "create", "destroy", "shutdown", "reboot")
    up.rows("UPDATE hosts SET enabled = true")
    assert ("m2 host2" in lose(up)) == (kind == "reboot")
    up.recover()
    up.check()


def test_volumes_are_seen_to_by_another(up: Site) -> None:
    """A disk that was being made when its host died is cleared away by one that lives."""
    up.rows("UPDATE hosts SET enabled = false WHERE name = 'host2'")

    def fault(when: str, hostname: str, words: tuple[str, ...]) -> None:
        if words[:2] == ("volume", "create") and when == "after":
            die(up)
            raise Killed

    up.hosts.fault = fault
    with pytest.raises(Killed):
        up.create("m4")
    up.hosts.fault = lambda *_: None
    up.rows("UPDATE hosts SET enabled = true")
    up.expire()
    lose(up)
    up.recover()
    up.check()


@pytest.mark.parametrize("at", range(1, 12))
def test_killed_and_run_again(up: Site, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Before the at-th transaction: nothing is lost, and the second run carries on."""
    die(up)
    left = [at]
    real = lost.transaction

    def dying(connection: object) -> object:
        left[0] -= 1
        if left[0] == 0:
            raise Killed
        return real(connection)  # type: ignore[arg-type]

    monkeypatch.setattr(lost, "transaction", dying)
    with suppress(Killed):
        lose(up)
    monkeypatch.setattr(lost, "transaction", real)
    lose(up)
    up.recover()
    assert up.hosts.running() == [(HOST2, name) for name in NAMES]
    up.check()


def test_nothing_is_promised_to_a_lost_host(up: Site) -> None:
    """Whatever else is said of it; by the version before, too."""
    die(up)
    lose(up)
    up.recover()
    up.hosts.hosts[HOST1].up = True
    up.submit("destroy", "m1")
    up.rows("UPDATE hosts SET enabled = (name = 'host1')")
    with pytest.raises(NoRoom) as refused:
        up.submit("boot", "m1")
    assert "host1: was lost" in refused.value.hint
    for change in (
        "INSERT INTO reservations SELECT machine_id, h.host_id, 1 FROM machines m, hosts h"
        " WHERE (m.name, h.name) = ('m1', 'host1')",
        "UPDATE machines SET host_id = (SELECT host_id FROM hosts WHERE name = 'host1') WHERE name = 'm1'",
    ):
        with pytest.raises(Exception, match="was lost"):
            up.rows(change)


def test_there_is_no_such_host(site: Site) -> None:
    with pytest.raises(NotFound, match="there is no host host9"):
        lost.lose(site.remote, site.hosts, "host9", "unplugged", ADMIN, silence)


def test_an_administrator_says_it(up: Site) -> None:
    """By the command itself, to hosts that nobody reaches; one who is no administrator may not."""
    [verb] = [verb for verb in fleet.VERBS if verb.name == "lost"]
    call = Call(verb, ("admin", "host", "lost"), {"name": "host1", "confirm": "unplugged"})
    with pytest.raises(InvirtError, match="is no administrator"):
        admin.perform(call, ADMIN, "invirt-remote-admin")
    up.rows("INSERT INTO administrators (principal) VALUES (%s)", ADMIN.principal)
    try:
        found = admin.perform(call, ADMIN, "invirt-remote-admin")
    finally:
        session.let_go()
    assert isinstance(found, Found)
    assert found.code == NoRoom.exit_code, "host2 does not answer either"
    assert is_lost(up)
