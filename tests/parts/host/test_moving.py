"""A guest moves between two hosts, each a folder and a process, over TLS; at its worst moments, too."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from invirt import config
from invirt.base.errors import BadInput, Busy, CommandFailed, InvirtError, Unreachable
from invirt.host import loading, reservation
from invirt.host.console import logs
from invirt.host.domain import DomainConfig
from invirt.host.moving import papers, source, target, wire
from invirt.host.qemu.driver import Qemu
from invirt.host.qemu.guest import Guest
from invirt.host.qemu.qmp import Qmp, connect
from tests.parts.waiting import until

from .conftest import prompt, shown

NAME, DOMAIN, HERE = "remus", "d_remus", "localhost"
CERTIFICATE = """\
set -e
cd "$0"
new() { openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 9 "$@" 2>/dev/null; }
new -subj /CN=ca -keyout ca.key -out ca.pem
new -subj /CN=$1 -keyout key -out crt -CA ca.pem -CAkey ca.key -addext basicConstraints=critical,CA:FALSE \
    -addext subjectAltName=DNS:$1 -addext extendedKeyUsage=serverAuth,clientAuth
cat crt key >server.pem
"""


class Target:
    """The other host: a process with folders of its own, until it is stopped."""

    def __init__(self, home: Path, known: DomainConfig, patch: pytest.MonkeyPatch) -> None:
        self.home = home / "b"
        patch.setattr(reservation, "require", lambda domain: None)
        patch.setattr(reservation, "memory", lambda name: known.memory)
        patch.setattr(target, "_known", lambda name: known)

    @contextmanager
    def there(self) -> Iterator[None]:
        """While it lasts, this process is on that host."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("INVIRT_RUN", str(self.home / "run"))
            patch.setenv("INVIRT_STATE", str(self.home / "state"))
            patch.setattr(logs, "FOLDER", self.home / "consoles")
            yield

    @contextmanager
    def serving(self) -> Iterator[None]:
        """While it lasts, one connection is taken."""
        listening = socket.create_server((HERE, config.hypervisor.move_port))
        listening.settimeout(60)

        def serve() -> None:
            with listening:
                target.serve(listening.accept()[0])

        with self.there():
            target.expect(NAME, HERE)
            process = get_context("fork").Process(target=serve, daemon=True)
            process.start()
        listening.close()
        yield
        process.join(timeout=60)
        assert process.exitcode is not None


@contextmanager
def two_hosts(home: Path, known: DomainConfig) -> Iterator[Target]:
    """This process is on one of them; what the other one's folders hold is ended afterwards."""
    subprocess.run(["sh", "-c", CERTIFICATE, home, HERE], check=True)
    with socket.create_server((HERE, 0)) as free:
        port = free.getsockname()[1]
    file = home / "invirt.yaml"
    named = f"console: {{ca: {home}/ca.pem, credentials: {home}/server.pem}}\n"
    text = file.read_text().replace("driver: qemu", f"driver: qemu\n  move_port: {port}")
    file.write_text(text + named)
    config.reload()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logs, "FOLDER", home / "consoles")
        found = Target(home, known, patch)
        try:
            yield found
        finally:
            with found.there():
                loading.hypervisor().destroy(DOMAIN)


@pytest.fixture
def other(home: Path, remus: DomainConfig, qemu: Qemu) -> Iterator[Target]:
    """The other host; remus runs here."""
    with two_hosts(home, remus) as found:
        qemu.create(remus)
        assert prompt(DOMAIN)
        yield found


def typed(text: str) -> None:
    """The guest answers what is typed, where this process is."""
    with connect(Guest(DOMAIN).console, 40) as console:
        console.sendall(f"\necho $((6*7)){text}\n".encode())
        shown(console, f"42{text}".encode())


def test_it_moves(other: Target, qemu: Qemu) -> None:
    typed("a")
    logs.begin_with(17, b"of an earlier boot, and of this one\n")
    travels = loading.travels(DOMAIN, True)
    assert travels["made_by"] == travels["version"] and travels["cd"] is False
    told: list[tuple[int, int]] = []
    with other.serving():
        source.send(NAME, HERE, 60, lambda percent, rate: told.append((percent, rate)))
    assert told == sorted(told, key=lambda one: one[0]) and 0 < told[-1][0] < 100, "how far it was"
    assert not qemu.running(DOMAIN)
    assert not Guest(DOMAIN).config_file.exists()
    source.send(NAME, HERE, 60)  # again: it was done
    with pytest.raises(Busy, match="was handed over to localhost"):
        source.keep(NAME)
    with other.there():
        typed("b")
        log = Guest(DOMAIN).log
        until(lambda: b"42b" in log.read_bytes())  # who is connected has a letter before the log has it
        assert b"42a" in log.read_bytes()
        assert logs.end(17).startswith(b"of an earlier boot, and of this one\n")
        assert log.read_bytes().count(b"42b") == 1
        target.arrive(NAME)  # again: it runs
        typed("c")
        assert loading.travels(DOMAIN, True) == travels
    assert "made_by" not in loading.travels(DOMAIN, False)


def broken(patch: pytest.MonkeyPatch, at: bytes) -> None:
    """The connection is lost when a frame of that kind shall be sent."""
    usual = wire.Wire.send

    def send(self: wire.Wire, kind: bytes, content: bytes = b"") -> None:
        if kind == at:
            self.connection.close()
            raise Unreachable("the network is gone")
        usual(self, kind, content)

    patch.setattr(wire.Wire, "send", send)


@pytest.mark.nightly
@pytest.mark.parametrize("at", [wire.LOG, wire.MEMORY, wire.END], ids=["log", "memory", "end"])
def test_the_network_goes(other: Target, qemu: Qemu, at: bytes) -> None:
    with other.serving(), pytest.MonkeyPatch.context() as patch:
        broken(patch, at)
        with pytest.raises(Unreachable, match="the network is gone"):
            source.send(NAME, HERE, 60)
    typed("here")
    source.keep(NAME)
    typed("still here")
    with other.there():
        assert not qemu.running(DOMAIN)


def test_word_that_it_was_handed_over_is_lost(other: Target, qemu: Qemu) -> None:
    with other.serving(), pytest.MonkeyPatch.context() as patch:
        broken(patch, wire.GO)
        source.send(NAME, HERE, 60)
    assert not qemu.running(DOMAIN)
    with other.there():
        with Qmp(Guest(DOMAIN).qmp) as waiting:
            assert waiting.status() == "paused"
        target.arrive(NAME)
        typed("there")


@pytest.mark.nightly
def test_it_is_kept_at_the_last_moment(other: Target, qemu: Qemu, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it is there already, and waits: it goes on here all the same, and never there."""

    def late(*_: Any) -> None:
        raise Busy("it took too long")

    monkeypatch.setattr(source, "_hand_over", late)
    with other.serving(), pytest.raises(Busy, match="too long"):
        source.send(NAME, HERE, 60)
    typed("here")
    with other.there():
        with Qmp(Guest(DOMAIN).qmp) as waiting:
            assert waiting.status() == "paused"
        qemu.destroy(DOMAIN)
    typed("still here")


@pytest.mark.nightly
def test_a_source_that_was_killed_after_it_wrote_goes_on(
    other: Target, qemu: Qemu, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """The process dies here."""

    def die(*_: Any) -> None:
        raise Killed

    usual = papers.write
    monkeypatch.setattr(papers, "write", lambda *paper: (usual(*paper), die()))
    with pytest.raises(Killed), other_serving(other, monkeypatch, usual):
        source.send(NAME, HERE, 60)
    assert qemu.running(DOMAIN)  # it stands still
    with Qmp(Guest(DOMAIN).qmp) as left:
        assert left.status() == "postmigrate"
    monkeypatch.setattr(papers, "write", usual)
    source.send(NAME, HERE, 60)
    assert not qemu.running(DOMAIN)
    with other.there():
        target.arrive(NAME)
        typed("there")


@contextmanager
def other_serving(other: Target, patch: pytest.MonkeyPatch, write: Callable[..., Any]) -> Iterator[None]:
    """Only the source dies of what it writes down."""
    mortal = papers.write
    patch.setattr(papers, "write", write)
    with other.serving():
        patch.setattr(papers, "write", mortal)
        yield


@pytest.mark.nightly
def test_one_that_ends_meanwhile_is_off(other: Target, qemu: Qemu) -> None:
    leaving = loading.mover().leaving(DOMAIN)
    qemu.destroy(DOMAIN)
    with pytest.raises(InvirtError):
        leaving.begin(os.open("/dev/null", os.O_WRONLY))
    source.keep(NAME)
    assert not qemu.running(DOMAIN)


@pytest.mark.nightly
def test_who_is_not_expected_stays(other: Target, qemu: Qemu) -> None:
    with other.serving():
        with other.there():
            papers.forget(NAME)
        with pytest.raises(CommandFailed, match="remus is not expected from localhost"):
            source.send(NAME, HERE, 60)
    typed("here")


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"disk": ["format=raw, vdev=hda, access=rw, target=/etc/shadow"]}, "another disk"),
        ({"machine": 18}, "another machine"),
        ({"kernel": "/etc/shadow"}, "another kernel"),
        ({"memory": 129}, "128 are reserved"),
        ({"cpus": "0"}, "settings that can't come along"),
        ({"extra": "a\nb"}, "can't be printed"),
    ],
)
def test_nothing_comes_in_that_the_database_doesnt_allow(
    remus: DomainConfig, more: dict[str, Any], why: str
) -> None:
    assert target.checked(dict(remus.settings), remus, 128).settings == remus.settings
    with pytest.raises(BadInput, match=why):
        target.checked({**remus.settings, **more}, remus, 128)
