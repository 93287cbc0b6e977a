"""Runs a command that must leave nothing behind: no process, mount, network interface or bytecode.

`unshare --mount python3 invirt_leftovers.py COMMAND…` ends as COMMAND does, but
fails and names what is left, after ending those processes.  They are known by
their descent, which they keep when their parents end; the mounts are those of
the namespace that nobody else is in.  Network namespaces live by either.  Bytecode
is looked for in the checkout: its first makes another of a folder that others may watch.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36  # prctl(2): whose parent ends is this process' child
CODE = Path(__file__).parent.parent
PATIENCE = 10.0  # seconds within which what has been killed is gone


def run(argv: list[str]) -> int:
    """Run a command and return its exit code; its orphans are buried meanwhile."""
    command = os.spawnvp(os.P_NOWAIT, argv[0], argv)
    while True:
        process, status = os.wait()
        if process == command:
            return os.waitstatus_to_exitcode(status)


def things() -> set[str]:
    """The mounts of this namespace, the interfaces, and the folders of bytecode."""
    mounts = (line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines())
    return {
        *(f"mount {where} ({number})" for number, _, _, _, where, *_ in mounts),
        *(f"interface {name}" for _, name in socket.if_nameindex()),
        *(f"bytecode {folder}" for folder in CODE.glob("invirt-*/python/**/__pycache__")),
    }


def descendants(process: int) -> list[int]:
    """Children, and theirs."""
    found = []
    for file in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(OSError):  # it has ended
            for child in map(int, file.read_text().split()):
                found += [child, *descendants(child)]
    return found


def staying() -> list[int]:
    """The processes that don't end, given some time."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        left = descendants(os.getpid())
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.05)


def told(process: int) -> str:
    """What it runs, and for which test, as far as that can be read."""
    words = {"cmdline": "", "environ": ""}
    for name in words:
        with suppress(OSError):
            words[name] = Path(f"/proc/{process}/{name}").read_text(errors="replace")
    test = words["environ"].partition("PYTEST_CURRENT_TEST=")[2].partition("\0")[0]
    return f"process {process}: {words['cmdline'].replace(chr(0), ' ')}" + (f"(of {test})" if test else "")


def kill() -> None:
    """End all descendants."""
    for process in descendants(os.getpid()):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def main() -> int:
    """Run the command that the arguments are; SIGTERM ends all."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGINT, lambda *_: None)  # the command's to obey
    signal.signal(signal.SIGTERM, lambda *_: kill())
    before = things()
    code = run(sys.argv[1:])
    left = [*map(told, staying()), *sorted(things() - before)]
    kill()
    staying()
    for one in left:
        print(f"left behind: {one}")
    return 1 if left or code < 0 else code


if __name__ == "__main__":
    sys.exit(main())
