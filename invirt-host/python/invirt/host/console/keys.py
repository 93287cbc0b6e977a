"""What conserver's clients say and hear on a console: keystrokes that may pass, and output as it was.

Both ways 0xFF begins a word of the protocol and stands for itself when it is
doubled (PROTOCOL of conserver's documentation).
"""

from __future__ import annotations

import re

ESCAPE = b"\x05c"
LEAVE = ord(".")
# Attach, by force, spy, who, information, replays, breaks, version, help, a letter by its number, nothing.
# Not: the log, other consoles, programs, another escape, a console that is taken down.
HARMLESS = frozenset(b".afswirpPRlvxm?\\\r\n\x12")
NOTHING = b"\r"  # in the place of what doesn't pass: a ^E before it must not meet a later c
QUOTED = b"\xff\xff"
EXECUTE, REFUSED = ord("E"), b"\xff."


class Keys:
    """Keystrokes on their way to conserver, whose escapes pass if they are harmless.

    In what passes, ^Ec is always followed by a harmless letter, whatever
    conserver takes it for.  left: ^Ec. has passed.
    """

    def __init__(self) -> None:
        self.left = False
        self._held = b""

    def passing(self, data: bytes) -> tuple[bytes, bytes]:
        """What passes of data and of what was held before, and the letters of escapes that don't."""
        if not self._held and ESCAPE[:1] not in data:
            return data.replace(b"\xff", QUOTED), b""
        passed, refused = bytearray(), bytearray()
        for byte in data:
            if self._held == ESCAPE:
                harmless = byte in HARMLESS
                passed += ESCAPE + (bytes([byte]) if harmless else NOTHING)
                refused += b"" if harmless else bytes([byte])
                self.left = self.left or byte == LEAVE
                self._held = b""
            elif self._held and byte == ESCAPE[1]:
                self._held = ESCAPE
            else:
                passed += self._held
                self._held = ESCAPE[:1] if byte == ESCAPE[0] else b""
                if not self._held:
                    passed.append(byte)
        return bytes(passed).replace(b"\xff", QUOTED), bytes(refused)


class Output:
    """conserver's words on their way to the user: none is obeyed, and executed: refused is what to answer."""

    def __init__(self) -> None:
        self._held = b""
        self.answer = b""

    def plain(self, data: bytes) -> bytes:
        """The output in data, and in what was held before."""
        if not self._held and b"\xff" not in data:
            return data
        data = self._held + data
        self._held = b""
        if (len(data) - len(data.rstrip(b"\xff"))) % 2:
            data, self._held = data[:-1], b"\xff"
        return re.sub(rb"(?s)\xff(.)", self._word, data)

    def _word(self, match: re.Match[bytes]) -> bytes:
        if match[1] == b"\xff":
            return b"\xff"
        if match[1][0] == EXECUTE:
            self.answer += REFUSED
        return b""
