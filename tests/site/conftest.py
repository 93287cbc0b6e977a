"""A fresh server that gets all roles, others for what goes wrong, and a client beside them.

With INVIRT_LAB_DEBIAN=13 in the environment they are of that release.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from invirt_lab import cluster, fresh
from invirt_lab.site import FRESH, RELEASE, Site


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """Servers with nothing installed: "one", which is to be the whole site, others, and the client."""
    cluster.down()
    release = int(os.environ.get("INVIRT_LAB_DEBIAN", RELEASE))
    with fresh.servers(*FRESH, "client", release=release) as made:
        yield made
