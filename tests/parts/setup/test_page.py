"""The page's step: who listens at its port without TLS is no page."""

from __future__ import annotations

import socket

import pytest

from invirt.base import knocking
from invirt.setup import settings


def test_a_port_that_is_open_is_no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knocking, "DEADLINE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        monkeypatch.setattr(settings, "HTTPS", listening.getsockname()[1])
        (step,) = settings.page("127.0.0.1", ["web"])
        assert not step.done()
