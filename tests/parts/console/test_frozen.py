"""The database stops answering: machines' logins stay out, root and administrators don't notice."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import time
from pathlib import Path

import pexpect
import pytest

from tests.parts.console.site import Site
from tests.parts.postgres import Cluster, frozen
from tests.parts.realm import DEADLINE

LOCAL = "daemon"  # a login of /etc/passwd
NOTICED = 4.0  # times as long as without the trouble: what waited for the database would take a hundred


def test_root_and_administrators_dont_notice(consoles: Site, cluster: Cluster, tmp_path: Path) -> None:
    key = _administrator(consoles, tmp_path)
    open_session = consoles.terminal("alice", "remus")
    open_session.expect("this is d_remus, booted")
    plain = {who: _login(consoles, who, key) for who in ("root", "operator")}
    with frozen(cluster):
        consoles.console.run("getent", "passwd", "remus")  # the service knows now that it can't answer
        for who in ("root", LOCAL):
            assert _looking_up(consoles, who) < NOTICED
        for who, seconds in plain.items():
            assert _login(consoles, who, key) < NOTICED * seconds
        begun = time.monotonic()
        assert "Permission denied" in consoles.call("alice", "remus", "-tt").stderr  # and nobody else gets in
        assert time.monotonic() - begun < DEADLINE
        open_session.sendline("still here")  # who is in stays in
        open_session.expect("still here\r\nstill here\r\n")
        open_session.expect([pexpect.TIMEOUT, "may not"], timeout=12)
        assert open_session.after is pexpect.TIMEOUT
    remus = consoles.terminal("alice", "remus")
    remus.expect("for help")


def test_a_service_that_just_waits_would_hold_up_everyone_but_root(consoles: Site) -> None:
    """The hole: libnss-systemd asks it about local logins too, and waits.  Ours never waits for long."""
    userdb = next(child for child in consoles.console.children if "/usr/sbin/invirt-userdb" in child.args)
    os.kill(userdb.pid, signal.SIGSTOP)
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            consoles.console.run("id", LOCAL, timeout=2)
    finally:
        os.kill(userdb.pid, signal.SIGCONT)
    assert consoles.console.run("id", LOCAL).returncode == 0


def _login(site: Site, who: str, key: Path) -> float:
    """Seconds that an administrator's login takes: the median, since other work has its turns."""
    times = []
    for _ in range(3):
        begun = time.monotonic()
        done = site.call("alice", who, "--", "echo", "in", key=key)
        assert done.stdout == "in\n", done.stderr
        times.append(time.monotonic() - begun)
    return statistics.median(times)


def _looking_up(site: Site, who: str) -> float:
    """How many times as long as `true` `id` takes: the medians, run in turn."""
    times: dict[tuple[str, ...], list[float]] = {("id", who): [], ("true",): []}
    for argv in [*times] * 11:
        begun = time.monotonic()
        assert site.console.run(*argv).returncode == 0
        times[argv].append(time.monotonic() - begun)
    id, true = map(statistics.median, times.values())
    return id / true


def _administrator(site: Site, folder: Path) -> Path:
    """A local login, and root, with a public key, as administrators have; returns the key."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "key")], check=True)
    site.console.write("etc/operator/.ssh/authorized_keys", (folder / "key.pub").read_text())
    others = [line for line in Path("/etc/passwd").read_text().splitlines() if not line.startswith("root:")]
    logins = [f"{name}:x:{uid}:100::/etc/operator:/bin/sh" for name, uid in (("root", 0), ("operator", 1500))]
    site.console.write("etc/passwd", "\n".join([*logins, *others, ""]))
    site.console.write(
        "etc/shadow", Path("/etc/shadow").read_text() + "operator:*:19000:0:99999:7:::\n", 0o640
    )
    return folder / "key"
