"""A PC moves with its screen, which is to be seen on the other host as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from invirt.host.console import screens
from invirt.host.domain import DomainConfig
from invirt.host.moving import source
from invirt.host.qemu.driver import Qemu
from tests.parts.rfb import Viewer, carry

from .test_moving import DOMAIN, HERE, NAME, two_hosts
from .test_screen import LIT, NUMBER, uid


def seen() -> None:
    """The firmware's words are on the screen, where this process is."""
    viewer = Viewer()
    with screens.join(NUMBER, uid()) as connection:
        connection.settimeout(60)
        carry(viewer.begin(), connection)
        carry(viewer.until_lit(LIT), connection)


@pytest.mark.nightly
def test_it_goes_along(home: Path, qemu: Qemu) -> None:
    remus = DomainConfig({"name": DOMAIN, "machine": NUMBER, "type": "hvm", "memory": 64})
    with two_hosts(home, remus) as other:
        qemu.create(remus)
        seen()
        with other.serving():
            source.send(NAME, HERE, 60)
        with pytest.raises(OSError, match="no screen here now"):
            screens.join(NUMBER, uid())
        with other.there():
            seen()
