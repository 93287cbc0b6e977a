"""The end of what a console says, for a browser that takes it slower than it comes."""

from __future__ import annotations

MOST = 1 << 20  # bytes that are kept
LINE = 4096  # bytes in which a line's end is looked for: a picture begins best at one


class Tail:
    """What is yet to be shown.  Beyond MOST the oldest goes, and how much went is said."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._kept = bytearray()
        self._lost = 0

    def __len__(self) -> int:
        return len(self._kept)

    def put(self, data: bytes) -> None:
        """Add to its end."""
        self._kept += data
        if len(self._kept) > self._most:
            cut = len(self._kept) - self._most // 2  # seldom, and much at once
            end = self._kept.find(b"\n", cut, cut + LINE)
            cut = end + 1 if end >= 0 else cut
            del self._kept[:cut]
            self._lost += cut

    def take(self, most: int) -> bytes:
        """So many bytes from its begin, after a line about what is missing before them."""
        taken = bytes(self._kept[:most])
        del self._kept[:most]
        lost, self._lost = self._lost, 0
        return (f"\r\n[{lost} bytes came too fast to be shown]\r\n".encode() if lost else b"") + taken
