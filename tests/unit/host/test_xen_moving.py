"""What Xen's driver does of a move, on both sides, and what becomes of a failure: its xl is a script."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from invirt.base.errors import BadInput, Busy, CommandFailed, NotFound
from invirt.base.names import DomainName
from invirt.base.process import run
from invirt.host.console import logs
from invirt.host.domain import DomainConfig
from invirt.host.records import Record
from invirt.host.xen import driver, moving, vif
from invirt.host.xen.driver import Xen
from invirt.host.xen.moving import Leaving, XenMover
from invirt.host.xen.watch import XenWatch

from .test_xen_stream import WHOLE

pytestmark = pytest.mark.children
NAME, INCOMING = DomainName("d_remus"), DomainName("d_remus--incoming")
PROGRAM = Path(__file__).with_name("xl.py")


class Host:
    """One host, whose xl is a script; its units are no more than what they start."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mover = XenMover(Xen(self.run))
        self.xen = self.mover.driver

    def run(self, argv: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        if argv[:2] == ["systemctl", "restart"]:
            fifo = self.folder / "run/coming" / NAME
            argv = ["xl", "restore", "-p", f"{fifo}.cfg", str(fifo)]
        elif argv[0] != "xl":
            return subprocess.CompletedProcess(argv, 0, "", "")
        return run(argv, **options)

    def states(self) -> dict[str, str]:
        return {file.name: file.read_text() for file in (self.folder / "domains.d").iterdir()}

    def runs(self, state: str = "") -> None:
        (self.folder / "domains.d" / NAME).write_text(state)


@pytest.fixture(params=["pvh", "pv"])
def config(request: pytest.FixtureRequest) -> DomainConfig:
    return DomainConfig({"name": NAME, "machine": 17, "type": request.param, "kernel": "/k"})


@pytest.fixture
def host(state: Path, config: DomainConfig, monkeypatch: pytest.MonkeyPatch) -> Host:
    """remus runs on it."""
    for folder in ("bin", "domains.d", "version"):
        (state / folder).mkdir()
    for part, number in (("major", "4"), ("minor", "17")):
        (state / "version" / part).write_text(f"{number}\n")
    (state / "stream").write_bytes(WHOLE)
    (state / "bin/xl").symlink_to(PROGRAM)
    for name, value in (("DOMAINS", "domains.d"), ("STREAM", "stream")):
        monkeypatch.setenv(name, str(state / value))
    monkeypatch.setenv("TYPE", config.virt)
    monkeypatch.setenv("PATH", f"{state}/bin:/usr/bin:/bin")
    monkeypatch.setattr(moving, "VERSION", state / "version")
    monkeypatch.setattr(moving, "APART", moving.APART[4:])
    monkeypatch.setattr(moving, "SETTLE", 30.0)
    monkeypatch.setattr(logs, "FOLDER", state / "consoles")
    monkeypatch.setattr(driver, "LOGS", state / "xl")
    made = Host(state)
    made.xen.prepare(config)
    made.runs()
    return made


def begun(host: Host, patience: float = 10.0) -> tuple[Leaving, Generator[bytes, None, None]]:
    leaving = host.mover.leaving(NAME)
    return leaving, leaving.pieces(patience)


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_all_of_it_goes_and_it_stands_still(host: Host) -> None:
    """Whatever becomes of us and of xl then: it doesn't run here once more."""
    logs.begin_with(17, b"before")
    leaving, pieces = begun(host)
    assert leaving.console() == b""
    assert b"".join(pieces) == WHOLE
    leaving.finish()
    logs.add(17, b" and after")
    assert leaving.console() == b" and after" and leaving.console() == b""
    assert host.xen.running(NAME) and [one.state for one in XenWatch(host.xen.xl).look()] == ["paused"]
    leaving.release()  # as our death would
    until(lambda: host.states() == {NAME: "p"})
    host.mover.forget(NAME)
    host.mover.forget(NAME)
    assert not host.states() and not Record(NAME).folder.exists() and host.xen.ended() == {}


@pytest.mark.parametrize("all_of_it", [False, True])
def test_it_goes_on_where_it_was(host: Host, all_of_it: bool) -> None:
    leaving, pieces = begun(host)
    with closing(pieces):
        next(pieces)
        if all_of_it:
            list(pieces)
            leaving.finish()
    leaving.keep()
    assert host.states() == {NAME: ""}
    host.mover.leaving(NAME).keep()  # again, by another process
    with pytest.raises(Busy, match="runs here"):
        host.mover.forget(NAME)
    host.xen.destroy(NAME)
    with pytest.raises(NotFound):
        leaving.keep()


def test_an_xl_that_fails_at_once(host: Host) -> None:
    (host.folder / "stream").unlink()
    leaving, pieces = begun(host)
    assert list(pieces) == []
    with pytest.raises(CommandFailed, match="did not send") as caught:
        leaving.finish()
    assert "fails at once" in caught.value.hint
    leaving.keep()
    assert host.states() == {NAME: ""}


def test_what_xl_does_not_send(host: Host) -> None:
    """Half a domain; one that stands still; one with a CD."""
    (host.folder / "stream").write_bytes(WHOLE[:-9])
    leaving, pieces = begun(host, 0.5)
    if leaving.config.virt == "pv":
        list(pieces)
    else:  # xl waits for an answer
        with pytest.raises(TimeoutError):
            list(pieces)
    with pytest.raises(CommandFailed, match="did not send"):
        leaving.finish()
    leaving.keep()
    host.runs("p")
    with pytest.raises(BadInput, match="stands still"):
        next(begun(host)[1])
    settings = {**leaving.config.settings, "disk": ["format=raw, vdev=sda, devtype=cdrom, target=/x.iso"]}
    (Record(NAME).config_file).write_text(DomainConfig(settings).json())
    with pytest.raises(BadInput, match="has a CD"):
        host.mover.leaving(NAME)


def coming(host: Host, config: DomainConfig, sent: bytes) -> moving.Coming:
    (host.folder / "domains.d" / NAME).unlink()
    made = host.mover.coming(config, {"xen": "4.17"})
    assert host.xen.ended() == {} and XenWatch(host.xen.xl).look() == [], "nothing is known of it yet"
    made.begin()
    made.take(sent, 10.0)
    return made


def test_it_comes_and_runs_when_it_is_handed_over(
    host: Host, config: DomainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = moving.vif.Link("52:54:00:00:00:11", ("192.0.2.17",), NAME, led=False)
    monkeypatch.setattr(moving.vif, "links", lambda: {"inv17": link, "inv18": moving.vif.Link("", ())})
    led: list[str] = []
    monkeypatch.setattr(moving.vif, "lead", led.append)
    made = coming(host, config, WHOLE)
    made.finish()
    assert host.states() == {INCOMING: "p"} and not host.xen.running(NAME) and host.xen.ended() == {}
    for _ in range(2):
        host.mover.arrive(NAME)
        assert host.states() == {NAME: ""}
    assert led == ["inv17", "inv17"] and [one.state for one in XenWatch(host.xen.xl).look()] == ["running"]
    host.xen.destroy(NAME)
    host.mover.arrive(NAME)  # it has ended
    assert host.xen.ended() == {NAME: "poweroff"}


def test_an_emulated_card_goes_while_it_arrives(
    host: Host, config: DomainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = moving.vif.Link("52:54:00:00:00:11", ("192.0.2.17",), NAME, led=False)
    monkeypatch.setattr(moving.vif, "links", lambda: {"inv17-emu": link, "inv17": link})
    led: list[str] = []

    def lead(interface: str) -> None:
        led.append(interface)
        if interface == "inv17-emu":
            raise CommandFailed("Cannot find device")

    monkeypatch.setattr(moving.vif, "lead", lead)
    coming(host, config, WHOLE).finish()
    host.mover.arrive(NAME)
    assert led == ["inv17", "inv17-emu"] and host.states() == {NAME: ""}
    monkeypatch.setattr(moving.vif, "exists", lambda _: True)
    with pytest.raises(CommandFailed):
        host.mover.arrive(NAME)


def test_one_that_does_not_come_leaves_nothing(host: Host, config: DomainConfig) -> None:
    made = coming(host, config, WHOLE[:-1])
    with pytest.raises(CommandFailed, match="did not take d_remus in") as caught:
        made.finish()
    assert "the stream has ended" in caught.value.hint
    made.drop()
    assert not host.states() and not [*(host.folder / "run/coming").iterdir()] and host.xen.ended() == {}


def test_an_xl_that_does_not_even_begin(host: Host, config: DomainConfig) -> None:
    def run(argv: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        if argv[:2] == ["systemctl", "restart"]:
            raise CommandFailed("status 1", hint="no lock")
        return host.run(argv, **options)

    host.xen.xl.run = run
    with pytest.raises(CommandFailed, match="takes no d_remus in") as caught:
        coming(host, config, b"")
    assert caught.value.hint == "no lock"


def test_one_of_which_nothing_comes(host: Host, config: DomainConfig) -> None:
    made = coming(host, config, b"")
    with pytest.raises(CommandFailed, match="did not take d_remus in"):
        made.finish()
    made.drop()
    assert not host.states() and not [*(host.folder / "run/coming").iterdir()]


@pytest.mark.parametrize("version", ["4.18", "5.0", "", "4", "x.y", "4.17.1"])
def test_of_which_xen_it_may_be(host: Host, config: DomainConfig, version: str) -> None:
    with pytest.raises(BadInput, match=r"no Xen that|newer Xen"):
        host.mover.coming(config, {"xen": version})
    host.mover.coming(config, {"xen": "4.9"})


def test_a_link_leads_nowhere_before_its_guest_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of an administrator's own, who moves it by ssh, is led at once."""
    did: list[tuple[str, str]] = []
    for way in ("guard", "add"):
        monkeypatch.setattr(vif.vif, way, lambda *words, way=way, **_: did.append((way, words[3])))
    for name in (INCOMING, NAME, "own--incoming"):
        vif.act("add", "inv17", name, "52:54:00:00:00:11", "192.0.2.17")
    assert did == [("guard", NAME), ("add", NAME), ("add", "own")]


def test_a_death_on_the_way_in_leaves_nothing(host: Host, config: DomainConfig) -> None:
    """Remote ends it then; the next boot is one."""
    made = coming(host, config, WHOLE[:-1])
    os.close(made.writing)  # as our death does
    made.starting.join()
    host.xen.destroy(NAME)
    assert not [*(host.folder / "run/coming").iterdir()] and host.xen.ended() == {NAME: "poweroff"}
