"""What a process can do to another: prints the names of all that succeeded, as JSON.

Run with the other's process id; it stands for a QEMU that its guest has taken
over, free of QEMU's own seccomp filter.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

PIDFD_GETFD, PTRACE_ATTACH = 438, 16
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def _memory(pid: int) -> None:
    start = Path(f"/proc/{pid}/maps").read_text().partition("-")[0]
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        memory.seek(int(start, 16))
        memory.read(16)


def _descriptors(pid: int) -> None:
    for path in Path(f"/proc/{pid}/fd").iterdir():
        path.readlink()


def _steal(pid: int) -> None:
    _must(libc.syscall(PIDFD_GETFD, os.pidfd_open(pid), 0, 0))


def _trace(pid: int) -> None:
    _must(libc.ptrace(PTRACE_ATTACH, pid, None, None))


def _must(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


TRIES: dict[str, Callable[[int], object]] = {
    "memory": _memory,
    "descriptors": _descriptors,
    "pidfd_getfd": _steal,
    "signal": lambda pid: os.kill(pid, 0),
    "priority": lambda pid: os.setpriority(os.PRIO_PROCESS, pid, 19),
    "limits": lambda pid: __import__("resource").prlimit(pid, 7),
    "ptrace": _trace,  # the last: it stops the other
}


def main() -> None:
    found = []
    for name, act in TRIES.items():
        try:
            act(int(sys.argv[1]))
        except OSError:
            continue
        found.append(name)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
