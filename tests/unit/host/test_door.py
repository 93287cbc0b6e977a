"""A host's door for consoles: who says nothing of use is out."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from invirt.host.console import consoles
from invirt.host.console.spool import Store

SAID = b"\x16\x03\x01\x02\x00\x01" + b"\0" * 506  # the begin of TLS, one byte at a time


@pytest.mark.children  # a connection on the loopback
@pytest.mark.parametrize("says", [b"", SAID], ids=["silence", "drops"])
def test_who_does_not_sign_on_in_time_is_out(
    says: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consoles, "PATIENCE", 0.3)
    door = consoles.Door(
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), frozenset(), 0, Store(str(tmp_path), consoles.CHUNK)
    )
    sent = []

    def say() -> None:
        with suppress(OSError):
            for byte in says:
                peer.sendall(bytes([byte]))
                sent.append(byte)
                time.sleep(0.02)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        with socket.create_connection(listening.getsockname()) as peer:
            saying = threading.Thread(target=say)
            saying.start()
            with pytest.raises(TimeoutError), listening.accept()[0] as connection:
                door.serve(connection)
        saying.join()
    assert len(sent) < len(SAID)
