"""What slow readers have yet to take: in one file without a name, bounded for each and for all."""

from __future__ import annotations

import os
import tempfile
import threading
from collections import deque

BLOCK = 256 << 10  # bytes
EACH, ALL = 64 << 20, 1 << 30  # bytes that wait for one reader, and for all


class Store:
    """Blocks of a file that is gone when its process is."""

    def __init__(self, folder: str = "/var/tmp", size: int = ALL) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - as long as the process
        self._count = size // BLOCK
        self._free = list(range(self._count - 1, -1, -1))
        self._lock = threading.Lock()

    def take(self) -> int | None:
        """A block of one's own; None if all are taken."""
        with self._lock:
            return self._free.pop() if self._free else None

    def give_back(self, block: int) -> None:
        """Let others have a block; the disk has its space again when all are free."""
        with self._lock:
            self._free.append(block)
            if len(self._free) == self._count:
                self._file.truncate(0)

    def write(self, block: int, offset: int, data: bytes) -> None:
        """Put data into a block."""
        os.pwrite(self._file.fileno(), data, block * BLOCK + offset)

    def read(self, block: int, length: int) -> bytes:
        """Take data out of a block."""
        return os.pread(self._file.fileno(), length, block * BLOCK)


class Queue:
    """Bytes for one reader, in their order; what is over its bound pushes out the oldest."""

    def __init__(self, store: Store, most: int = EACH) -> None:
        self._store, self._most = store, most // BLOCK
        self._blocks: deque[int] = deque()
        self._end = 0  # in the last block
        self.lost = 0  # bytes that were pushed out

    def __bool__(self) -> bool:
        return bool(self._blocks)

    def put(self, data: bytes) -> None:
        """Add data at the end."""
        while data:
            if (not self._blocks or self._end == BLOCK) and not self._grow():
                self.lost += len(data)  # all space is others'
                return
            part, data = data[: BLOCK - self._end], data[BLOCK - self._end :]
            self._store.write(self._blocks[-1], self._end, part)
            self._end += len(part)

    def _grow(self) -> bool:
        block = self._store.take() if len(self._blocks) < self._most else None
        if block is None and self._blocks:
            block = self._blocks.popleft()
            self.lost += BLOCK
        if block is None:
            return False
        self._blocks.append(block)
        self._end = 0
        return True

    def get(self) -> bytes:
        """The oldest bytes, at most those of a block."""
        block = self._blocks.popleft()
        data = self._store.read(block, BLOCK if self._blocks else self._end)
        self._store.give_back(block)
        return data

    def close(self) -> None:
        """Give all of it back."""
        while self._blocks:
            self._store.give_back(self._blocks.popleft())
