"""The kernel's log while a test runs: rules in a network namespace of a test's own write there, too."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ALL_NAMESPACES = Path("/proc/sys/net/netfilter/nf_log_all_netns")


@contextmanager
def listening() -> Iterator[Callable[[], list[str]]]:
    """Yields what gives the lines since; skips the test where the machine doesn't let it read them."""
    try:
        before = ALL_NAMESPACES.read_text()
        ALL_NAMESPACES.write_text("1")
        log = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        pytest.skip(f"the kernel's log is not ours to read: {error}")
    os.lseek(log, 0, os.SEEK_END)
    try:
        yield lambda: list(_lines(log))
    finally:
        os.close(log)
        ALL_NAMESPACES.write_text(before)


def _lines(log: int) -> Iterator[str]:
    """Each read gives one record, "priority,number,time,…;text"."""
    while True:
        try:
            yield os.read(log, 8192).decode(errors="replace").partition(";")[2].splitlines()[0]
        except BlockingIOError:
            return
        except BrokenPipeError:
            continue  # more was written than is kept
