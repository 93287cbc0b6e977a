"""What slow readers have yet to take."""

from __future__ import annotations

from pathlib import Path

from invirt.host.console.spool import BLOCK, Queue, Store


def _drained(queue: Queue) -> bytes:
    taken = bytearray()
    while queue:
        taken += queue.get()
    return bytes(taken)


def test_bytes_come_out_as_they_went_in(tmp_path: Path) -> None:
    queue = Queue(Store(str(tmp_path), 8 * BLOCK))
    whole = bytes(range(256)) * (BLOCK // 64)
    for at in range(0, len(whole), 70_001):
        queue.put(whole[at : at + 70_001])
    assert _drained(queue) == whole
    assert queue.lost == 0


def test_the_oldest_goes_and_is_counted(tmp_path: Path) -> None:
    queue = Queue(Store(str(tmp_path), 8 * BLOCK), most=2 * BLOCK)
    queue.put(b"a" * BLOCK + b"b" * BLOCK + b"c" * 5)
    assert _drained(queue) == b"b" * BLOCK + b"c" * 5
    assert queue.lost == BLOCK


def test_all_together_are_bounded_and_space_comes_back(tmp_path: Path) -> None:
    store = Store(str(tmp_path), 3 * BLOCK)
    greedy, other = Queue(store), Queue(store)
    greedy.put(b"x" * 9 * BLOCK)
    other.put(b"y")
    assert (greedy.lost, other.lost, bool(other)) == (6 * BLOCK, 1, False)
    greedy.close()
    other.put(b"y")
    assert _drained(other) == b"y"
