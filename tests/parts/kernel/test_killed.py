"""invirt-kernel, killed at each step: whoever boots has the old pair or the new one, whole."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from invirt.kernel import build
from tests.unit.kernel.kernels import installed

# Counts what changes a file system, and dies before the so manieth.
KILLED = """
import os, signal, sys
from pathlib import Path
from invirt.kernel import build

left = int(sys.argv[3])

def audit(event, arguments):
    global left
    changes = event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink") or (
        event == "open" and isinstance(arguments[1], str) and "w" in arguments[1])
    if changes:
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(audit)
build.make(Path(sys.argv[1]), Path(sys.argv[2]))
"""
NEW, OLD = "6.1.0-2-amd64", "6.1.0-1-amd64"


def test_killed_at_each_step(tmp_path: Path) -> None:
    root = installed(tmp_path / "root", OLD)
    made = tmp_path / "made"
    build.make(root, made)
    installed(root, NEW)
    whole = {OLD: pair(made)}
    build.make(root, tmp_path / "other")
    whole[NEW] = pair(tmp_path / "other")
    seen = []
    for step in range(100):
        words = [sys.executable, "-c", KILLED, str(root), str(made), str(step)]
        ended = subprocess.run(words, check=False, timeout=60).returncode
        seen.append(build.version(made))
        assert pair(made) == whole[seen[-1]], step
        if ended == 0:
            break
        assert ended == -signal.SIGKILL
    assert seen[0] == OLD and seen[-1] == NEW and len(seen) > 8
    assert sorted(seen) == seen, "the old one came back"
    assert len([path for path in made.iterdir() if path.is_dir() and not path.is_symlink()]) == 2


def pair(folder: Path) -> tuple[bytes, bytes]:
    """What a guest would boot."""
    return (folder / "vmlinuz").read_bytes(), (folder / "initrd").read_bytes()
