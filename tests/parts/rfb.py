"""A viewer of VNC (RFC 6143), as words of its own: whoever has a connection carries them."""

from __future__ import annotations

import socket
import struct
from collections.abc import Generator
from dataclasses import dataclass, field

FORMAT = ">HH16xI"  # width, height, the pixels' format, the length of the name
Talk = Generator["int | bytes", bytes, None]  # a number: so many bytes are wanted; bytes: are to be sent


@dataclass
class Viewer:
    """What is on the screen: 4 bytes a pixel, as the server has them."""

    width: int = 0
    height: int = 0
    canvas: bytearray = field(default_factory=bytearray)

    @property
    def lit(self) -> int:
        """How many pixels are not black."""
        return sum(map(any, zip(*(self.canvas[part::4] for part in range(3)), strict=True)))

    def begin(self) -> Talk:
        """Sign on, as one who wants the screen for himself alone; raw pixels are wanted."""
        assert (yield 12).startswith(b"RFB 003.")
        yield b"RFB 003.008\n"
        (count,) = yield 1
        assert 1 in (yield count), "a password is asked"
        yield b"\x01"
        assert (yield 4) == bytes(4)
        yield b"\x00"
        self.width, self.height, length = struct.unpack(FORMAT, (yield 24))
        yield length
        self.canvas = bytearray(4 * self.width * self.height)
        yield struct.pack(">BxHii", 2, 2, 0, -223)  # raw, and other sizes

    def ask(self, anew: bool = True) -> bytes:
        """What asks for all of it, or for what has changed."""
        return struct.pack(">BBHHHH", 3, not anew, 0, 0, self.width, self.height)

    def key(self, keysym: int) -> bytes:
        """Press and release a key."""
        return b"".join(struct.pack(">BBxxI", 4, down, keysym) for down in (1, 0))

    def frame(self, anew: bool = True) -> Talk:
        """All of it, or what has changed."""
        yield self.ask(anew)
        yield from self.taken()

    def taken(self) -> Talk:
        """An answer."""
        kind = yield 1
        assert kind == b"\x00", kind
        (count,) = struct.unpack(">xH", (yield 3))
        for _ in range(count):
            x, y, width, height, encoding = struct.unpack(">HHHHi", (yield 12))
            if encoding == -223:
                self.width, self.height = width, height
                self.canvas = bytearray(4 * width * height)
                continue
            pixels = yield 4 * width * height
            for row in range(height):
                at = 4 * ((y + row) * self.width + x)
                self.canvas[at : at + 4 * width] = pixels[4 * width * row : 4 * width * (row + 1)]

    def until_lit(self, many: int) -> Talk:
        """Until so many pixels are not black."""
        yield from self.frame()
        while self.lit < many:
            yield from self.frame(anew=False)


def carry(talk: Talk, connection: socket.socket) -> None:
    """By a socket, which has a timeout."""
    said = next(talk)
    try:
        while True:
            if isinstance(said, bytes):
                connection.sendall(said)
                said = next(talk)
                continue
            got = bytearray()
            while len(got) < said:
                part = connection.recv(said - len(got))
                if not part:
                    raise ConnectionError("the screen has ended")
                got += part
            said = talk.send(bytes(got))
    except StopIteration:
        return
