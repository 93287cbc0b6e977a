"""A server of its own in a folder, and a network and /etc/hosts that nobody else sees."""

from __future__ import annotations

import ctypes
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from invirt.check.findings import Findings
from invirt.check.server import Server

DEADLINE = 60.0  # seconds
NEW_NETWORK, NEW_MOUNTS = 0x40000000, 0x00020000  # of sched.h
Value = TypeVar("Value")
STATUS = """\
Package: {name}
Status: install ok {state}
Architecture: all
Maintainer: nobody
Version: {version}
Description: none

"""


def found(look: Callable[[Server], Findings], server: Server) -> str:
    """What a check finds, a line each; each says what to do."""
    findings = list(look(server))
    assert all(one.where and one.what and one.todo for one in findings)
    return "\n".join(f"{one.level.name} {one.where}: {one.what}" for one in findings)


@pytest.fixture
def server(tmp_path: Path) -> Server:
    """The site's remote server, whose files are in a folder."""
    return Server(root=tmp_path / "root", roles=("remote",), name="remote.invirt.test")


def put(server: Server, path: str, text: str = "", mode: int = 0o600) -> Path:
    """Write one of its files."""
    file = server.file(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(mode)
    return file


def packages(server: Server, **versions: str) -> None:
    """What dpkg knows: versions, or states, of packages."""
    lines = ""
    for name, version in versions.items():
        state = "installed" if version[0].isdigit() else version
        number = version if state == "installed" else "1.1"
        lines += STATUS.format(name=name.replace("_", "-"), state=state, version=number)
    put(server, "/var/lib/dpkg/status", lines)


def run(*argv: str | Path, input: str = "") -> str:
    """A command that has to succeed; returns what it printed."""
    done = subprocess.run(argv, input=input, capture_output=True, text=True, check=False, timeout=DEADLINE)
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout


def apart(work: Callable[[], Value]) -> Value:
    """Do it in a thread whose children have a network and mounts of their own, gone afterwards."""
    libc = ctypes.CDLL(None, use_errno=True)
    results: list[Value] = []

    def inside() -> None:
        assert libc.unshare(NEW_NETWORK | NEW_MOUNTS) == 0, ctypes.get_errno()
        run("mount", "--make-rprivate", "/")
        run("ip", "link", "set", "lo", "up")
        results.append(work())

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join(DEADLINE)
    assert results, "it failed, or didn't end"
    return results[0]
