"""A typed letter's way to a real guest and back, over ssh: by the console server, and by `xm console`."""

from __future__ import annotations

import os
import statistics
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from invirt import config
from tests.bench.terminals import echoes, joined, read_until, terminal
from tests.parts import postgres
from tests.parts.console import daemons, rows
from tests.parts.console.server import wait
from tests.parts.console.site import SSH_PORT, Site, running
from tests.parts.host.conftest import image
from tests.parts.realm import Realm, end
from tests.results import best

__all__ = ["image"]
USED = "/run/invirt/guests/d_remus/console.user"  # locked by who has the console
LIMIT = 1.2  # times as long
ROUNDS, LETTERS = 5, 100

Way = Callable[[Site, list[str]], AbstractContextManager[int]]

DOMAIN = """\
name, type, memory, vcpus, machine = "d_remus", "pvh", 128, 1, 5
kernel, ramdisk = "{image}/vmlinuz", "{image}/initrd"
extra = "console=ttyS0 quiet mitigations=off no_timer_check hostname=remus"
"""
SSHD = """\
AuthorizedKeysFile /etc/ssh/bench_keys
StrictModes no
UsePAM yes
"""


@pytest.fixture
def site(cluster: postgres.Cluster, realm: Realm, tmp_path: Path, image: Path) -> Iterator[Site]:
    """A console server and a host with a real guest, remus, in which cat gives back what is typed."""
    with postgres.fresh(cluster, tmp_path) as database:
        rows.settings(database, hypervisor="qemu")
        rows.fill(database)
        config.reload()
        with running(database, realm, tmp_path / "site", xl="") as made:
            made.host.write("etc/xen/remus", DOMAIN.format(image=image))
            daemons.start_logins(made)
            made.boot("remus")
            made.host.run("xm", "create", "remus")
            try:
                _begin(made)
                yield made
            finally:
                made.host.run("xm", "destroy", "d_remus")


def _begin(site: Site) -> None:
    with terminal(
        [*site.host.enter, "env", *_words(site.host.environment), "xm", "console", "d_remus"]
    ) as xm:
        read_until(xm, b"guest# ", 60)
        os.write(xm, b"cat\r")
        read_until(xm, b"cat\r\n")
        os.write(xm, b"\x1d")
        read_until(xm, b"\r\n")


def _words(environment: dict[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in environment.items()]


@pytest.fixture
def plain(site: Site, tmp_path: Path) -> list[str]:
    """The argv of ssh to the host, where it runs xm console."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True)
    host, address = site.host, site.addresses[rows.HOST]
    host.write("etc/ssh/bench_keys", (tmp_path / "key.pub").read_text())
    host.write("etc/ssh/bench", SSHD)
    listen = ("-p", str(SSH_PORT), "-o", f"ListenAddress={address}")
    host.start("/usr/sbin/sshd", "-f", "/etc/ssh/bench", "-D", "-e", *listen)
    host.reached(address, SSH_PORT)
    xm = f"export {' '.join(_words(host.environment))}; until xm console d_remus; do sleep 0.1; done"
    return site.ssh("alice", "root", "-tt", "-o", f"HostName={rows.HOST}", "--", xm, key=tmp_path / "key")


@contextmanager
def by_xm(site: Site, plain: list[str]) -> Iterator[int]:
    """The guest's console, xm console on it."""
    with terminal(plain) as end_:
        read_until(end_, b"leaves")
        yield end_


@contextmanager
def by_console(site: Site, plain: list[str]) -> Iterator[int]:
    """The guest's console, conserver on it."""
    conserver = daemons.start_conserver(site)
    try:
        wait(lambda: site.host.run("flock", "-n", USED, "true").returncode != 0, "conserver on remus")
        with terminal(site.ssh("alice", "remus", "-tt")) as end_:
            read_until(end_, b"for help")
            yield end_
    finally:
        end(conserver)


def test_typed_echo(site: Site, plain: list[str]) -> None:
    daemons.start_list(site)
    daemons.start_door(site)

    def ratio() -> float:
        took: dict[Way, list[float]] = {by_console: [], by_xm: []}
        for way in [*took] * ROUNDS:
            with way(site, plain) as end_:
                joined(end_)
                echoes(end_, 10)
                took[way] += echoes(end_, LETTERS)
        ours, theirs = (statistics.median(times) for times in took.values())
        print(f"console: a letter comes back after {ours * 1000:.2f} ms, by xm {theirs * 1000:.2f} ms")
        return ours / theirs

    best("a typed letter's echo against ssh and xm console", ratio, LIMIT)
