"""How many QEMUs may write to a disk, looked at all the while: the kernel knows who holds QEMU's lock."""

from __future__ import annotations

import os
import re
import threading
import time
from contextlib import suppress
from pathlib import Path

# QEMU holds this byte of an image while it may write to it (OFD locks): 100, and the number of the right.
LOCKS = re.compile(r"^lock:.*OFDLCK.* (\d+) (\d+)$", re.MULTILINE)
BYTE = 101


class Watcher:
    """Of the disk with that device and inode; a context manager, which asserts that there never was a second.

    most: QEMUs at once.  A QEMU that has no right to write, as one that waits for its guest, doesn't count.
    """

    def __init__(self, disk: tuple[int, int]) -> None:
        self.disk, self.most, self.looks = disk, 0, 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Watcher:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join(60)
        assert self.most <= 1, f"{self.most} QEMUs wrote to one disk"
        assert self.most == 1 and self.looks > 10, "nothing was seen"

    def _watch(self) -> None:
        while not self.over.is_set():
            seen = {int(name) for name in os.listdir("/proc") if name.isdigit() and self._writes(name)}
            if len(seen) > 1:  # one may have let go before the other took it: who holds it still counts
                seen = {process for process in seen if self._writes(str(process))}
            self.most, self.looks = max(self.most, len(seen)), self.looks + 1
            time.sleep(0.02)

    def _writes(self, process: str) -> bool:
        """Whether it is a QEMU that may write to the disk."""
        with suppress(OSError):
            if not Path(f"/proc/{process}/comm").read_text().startswith("qemu-system"):
                return False
            for descriptor in os.listdir(f"/proc/{process}/fd"):
                found = os.stat(f"/proc/{process}/fd/{descriptor}")
                if (found.st_dev, found.st_ino) == self.disk:
                    said = Path(f"/proc/{process}/fdinfo/{descriptor}").read_text()
                    if any(int(first) <= BYTE <= int(last) for first, last in LOCKS.findall(said)):
                        return True
        return False
