"""The lab, brought up once for all its tests by the same code as scripts/lab.

One that is up already, say from scripts/lab demo, is taken down first.  With
INVIRT_LAB=keep in the environment it is used as it is, and left up.  With
INVIRT_LAB_DEBIAN=13 there, its servers are of that release.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator

import pytest

from invirt_lab import cluster, lifecycle
from invirt_lab.site import RELEASE
from tests.lab.users import Lab
from tests.results import Result, keep

KEEP = os.environ.get("INVIRT_LAB") == "keep"
_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """A lab that is up."""
    if not KEEP:
        cluster.down()
    try:
        if set(cluster.status().values()) == {"down"}:
            bring_up(int(os.environ.get("INVIRT_LAB_DEBIAN", RELEASE)))
        yield Lab()
    finally:
        if not KEEP:
            cluster.down()


def bring_up(release: int) -> None:
    """Bring the lab up; how long that takes goes on the table, with and without what is made once."""
    began = time.monotonic()
    lifecycle.prepare()
    lifecycle.images_of_servers(release)
    prepared = time.monotonic()
    lifecycle.up(release)
    done = time.monotonic()
    keep(Result(f"lab of Debian {release}: up, with packages and images", done - began, "s", 300))
    keep(Result(f"lab of Debian {release}: up, when they are there", done - prepared, "s", 60))


@pytest.fixture
def tidy(lab: Lab) -> Iterator[None]:
    """Machines that the test made, by whatever name, are gone afterwards, even where it failed."""
    before = lab.machines()
    yield
    for name, owner in lab.machines().items():
        if name not in before:
            lab.remove(name, owner)


@pytest.fixture
def machine(lab: Lab, tidy: None) -> Callable[..., str]:
    """Makes machines for a test: machine("--memory", "256", user="bob") returns the new one's name."""

    def make(*options: str, user: str = "alice") -> str:
        name = f"m{next(_NUMBERS)}"
        lab.remctl(user, "machine", "create", name, "--memory", "128", "--disk", "1", *options)
        return name

    return make


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests that end the lab come last."""
    items.sort(key=lambda item: item.path.name == "test_leftovers.py")
