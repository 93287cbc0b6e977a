"""What is kept for a browser that takes a console slower than it comes."""

from __future__ import annotations

from invirt.web.streams.tail import Tail


def test_what_is_taken_in_time_is_whole() -> None:
    tail = Tail(100)
    for number in range(50):
        tail.put(b"%04d\n" % number)
        assert tail.take(100) == b"%04d\n" % number
    assert not len(tail) and tail.take(100) == b""


def test_the_oldest_goes_and_is_counted() -> None:
    tail = Tail(100)
    whole = b"".join(b"%04d\n" % number for number in range(1000))
    for at in range(0, len(whole), 7):
        tail.put(whole[at : at + 7])
        assert len(tail) <= 100
    said, _, rest = tail.take(1000).partition(b"bytes came too fast to be shown]\r\n")
    lost = int(said.removeprefix(b"\r\n["))
    assert rest == whole[lost:] and len(rest) >= 100 // 4 and lost % 5 == 0


def test_what_is_no_line_is_cut_anywhere() -> None:
    tail = Tail(100)
    tail.put(b"x" * 1000)
    assert tail.take(1000).endswith(b"[950 bytes came too fast to be shown]\r\n" + b"x" * 50)
