"""Fixtures of the console server's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts.console import servers
from tests.parts.postgres import Database
from tests.parts.realm import Realm


@pytest.fixture
def site(database: Database, realm: Realm, tmp_path: Path) -> Iterator[servers.Site]:
    """A console server and a host without their daemons; alice's remus and romulus, bob's castor."""
    servers.settings(database)
    servers.fill(database)
    from invirt import config

    config.reload()
    with servers.running(database, realm, tmp_path / "site") as made:
        yield made


@pytest.fixture
def logins(site: servers.Site) -> servers.Site:
    """With logins."""
    servers.start_logins(site)
    return site


@pytest.fixture
def consoles(logins: servers.Site) -> servers.Site:
    """With logins, and the host's conserver; remus runs."""
    servers.start_consoles(logins)
    logins.boot("remus")
    return logins
