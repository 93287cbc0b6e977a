"""Fixtures of the console server's tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from invirt import config
from tests.parts import postgres
from tests.parts.console import daemons, rows, unprotected
from tests.parts.console.site import Site, running
from tests.parts.realm import Realm


@contextmanager
def whole(cluster: postgres.Cluster, realm: Realm, folder: Path) -> Iterator[Site]:
    """A console server and a host without their daemons; alice's remus and romulus, bob's castor."""
    with postgres.fresh(cluster, folder) as database:
        rows.settings(database)
        rows.fill(database)
        config.reload()
        with running(database, realm, folder / "site") as made:
            yield made


def _all_up(site: Site) -> None:
    daemons.start_logins(site)
    daemons.start_consoles(site)
    site.boot("remus")


@pytest.fixture
def site(cluster: postgres.Cluster, realm: Realm, tmp_path: Path) -> Iterator[Site]:
    """A console server and a host without their daemons; alice's remus and romulus, bob's castor."""
    with whole(cluster, realm, tmp_path) as made:
        yield made


@pytest.fixture
def consoles(site: Site) -> Site:
    """With logins, and the host's conserver; remus runs."""
    _all_up(site)
    return site


@pytest.fixture(scope="module")
def both(cluster: postgres.Cluster, realm: Realm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """As consoles, with castor running, and beside them a sshd and a conserver that nothing protects.

    For tests of the whole module that leave it as it was.
    """
    with whole(cluster, realm, tmp_path_factory.mktemp("both")) as made:
        _all_up(made)
        unprotected.start_sshd(made)
        unprotected.start_conserver(made)
        made.boot("castor")
        yield made
