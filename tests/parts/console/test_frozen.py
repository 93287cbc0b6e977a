"""The database stops answering: machines' logins stay out, root and administrators don't notice."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pexpect

from tests.parts.console.site import Site
from tests.parts.postgres import Cluster


@contextmanager
def frozen(cluster: Cluster) -> Iterator[None]:
    """Every process of PostgreSQL stands still, connections open."""
    stopped: list[int] = []
    try:
        while new := [pid for pid in _family(cluster.process.pid) if pid not in stopped]:
            for pid in new:
                os.kill(pid, signal.SIGSTOP)
                stopped.append(pid)
        yield
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def test_root_and_administrators_dont_notice(consoles: Site, cluster: Cluster, tmp_path: Path) -> None:
    key = _administrator(consoles, tmp_path)
    open_session = consoles.terminal("alice", "remus")
    open_session.expect("this is d_remus, booted")
    with frozen(cluster):
        consoles.console.run("getent", "passwd", "remus")  # the service knows now that it can't answer
        times = []
        for _ in range(11):
            begun = time.monotonic()
            assert consoles.console.run("id", "root").stdout.startswith("uid=0(root)")
            times.append(time.monotonic() - begun)
        assert statistics.median(times) < 0.05 + _cost_of_running(consoles)
        begun = time.monotonic()
        done = consoles.call("alice", "operator", "--", "echo", "in", key=key)
        assert done.stdout == "in\n", done.stderr
        assert time.monotonic() - begun < 2
        begun = time.monotonic()
        assert "Permission denied" in consoles.call("alice", "remus", "-tt").stderr  # and nobody else gets in
        assert time.monotonic() - begun < 15
        open_session.sendline("still here")  # who is in stays in
        open_session.expect("still here\r\nstill here\r\n")
        open_session.expect([pexpect.TIMEOUT, "may not"], timeout=12)
        assert open_session.after is pexpect.TIMEOUT
    remus = consoles.terminal("alice", "remus")
    remus.expect("for help")


def _cost_of_running(site: Site) -> float:
    """Seconds that it takes to run anything in the server's namespace."""
    begun = time.monotonic()
    for _ in range(5):
        site.console.run("true")
    return (time.monotonic() - begun) / 5


def _administrator(site: Site, folder: Path) -> Path:
    """A local login with a public key, as administrators have; returns the key."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "key")], check=True)
    site.console.write("etc/operator/.ssh/authorized_keys", (folder / "key.pub").read_text())
    passwd = Path("/etc/passwd").read_text() + "operator:x:1500:100::/etc/operator:/bin/sh\n"
    site.console.write("etc/passwd", passwd)
    site.console.write(
        "etc/shadow", Path("/etc/shadow").read_text() + "operator:*:19000:0:99999:7:::\n", 0o640
    )
    return folder / "key"
