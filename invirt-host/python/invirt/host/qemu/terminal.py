"""This terminal on a guest's serial console."""

from __future__ import annotations

import fcntl
import os
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from invirt.base.errors import Busy, NotFound
from invirt.host.qemu import kept, qmp
from invirt.host.qemu.guest import Guest

LEAVE = b"\x1d"  # ^]


def attach(guest: Guest) -> None:
    """Join stdin and stdout to the console until ^], the end of stdin, or the guest's.

    NotFound when the guest is off, Busy when somebody is there already.
    """
    if not guest.running():
        raise NotFound(f"{guest.name} is off", hint="It has a console when it runs.")
    with guest.console.with_name(kept.USER).open("a") as user:
        try:
            fcntl.flock(user, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(
                f"somebody else is on the console of {guest.name}", hint="Let them leave it."
            ) from None
        with qmp.connect(guest.console, 5) as console:
            console.setblocking(True)
            with _raw():
                print(f"On the console of {guest.name}; ^] leaves.\r", file=sys.stderr)
                ended = kept.join(console, Leaving(console))
    print(f"\r\n{guest.name} is off.\r" if ended else "\r", file=sys.stderr)


class Leaving(kept.Keys):
    """What a user types is the guest's, but for the key that leaves."""

    def typed(self, data: bytes) -> bool:
        """See kept.Keys."""
        return LEAVE not in data and super().typed(data)


@contextmanager
def _raw() -> Iterator[None]:
    """The terminal as the guest wants it, and as it was afterwards."""
    if not os.isatty(0):
        yield
        return
    before = termios.tcgetattr(0)
    tty.setraw(0)
    try:
        yield
    finally:
        with suppress(termios.error):  # closed meanwhile
            termios.tcsetattr(0, termios.TCSADRAIN, before)
