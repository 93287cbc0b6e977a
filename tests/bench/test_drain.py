"""A host with eight guests is drained, beside the same eight moves by hand: each move takes a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import pytest

from invirt import config
from invirt.database.connection import connect
from invirt.remote import drain
from invirt.remote.operations import recovery, submit
from invirt.remote.operations.model import Actor
from tests.parts.operations.conftest import HOST1, HOST2, Site, site
from tests.parts.operations.fakehosts import FakeHosts, meant
from tests.results import beside, quickest

__all__ = ["site"]  # a fixture
ADMIN = Actor("root/admin@INVIRT.TEST", administrator=True)
GUESTS = [f"m{number}" for number in range(8)]
MOVE = 1.0  # seconds
MOST = 1.3  # times: a drain looks a few times a second at what has become of its moves


class Slow(FakeHosts):
    """Hosts that send a guest in their time, several at once."""

    def call(self, hostname: str, *words: str, timeout: float) -> str:
        if meant(words)[1] == "send":
            time.sleep(MOVE)
        return super().call(hostname, *words, timeout=timeout)


@contextmanager
def service(hosts: FakeHosts) -> Iterator[None]:
    """Operations that were begun are worked on, as many at once as are begun."""
    over = threading.Event()

    def work() -> None:
        with closing(connect()) as connected:
            while not over.is_set():
                recovery.run(connected, hosts)
                time.sleep(0.02)

    with ThreadPoolExecutor() as pool:
        working = [pool.submit(work) for _ in range(config.remote.drain_at_once)]
        yield
        over.set()
    for each in working:
        each.result()


@pytest.fixture
def eight(site: Site) -> Site:
    """Eight guests on the first host; both have room for all."""
    site.hosts = Slow(HOST1, HOST2)
    site.rows("UPDATE hosts SET memory = 10000, enabled = (name = 'host1')")
    for name in GUESTS:
        site.create(name, memory=64)
        site.rows("UPDATE owners SET machines = 100, memory = 10000, disk = 100")
        site.submit("boot", name)
    site.rows("UPDATE hosts SET enabled = true")
    assert set(site.homes().values()) == {HOST1}
    return site


def test_a_drain_takes_as_long_as_its_moves(eight: Site) -> None:
    """By hand two are asked for at once, as a drain does."""

    def move(name: str, host: str) -> None:
        with closing(connect()) as connected:
            submit("migrate", ADMIN, name, {"host": host}, hosts=eight.hosts, connection=connected)

    def by_hand(host: str) -> float:
        with ThreadPoolExecutor(config.remote.drain_at_once) as pool:
            return quickest(lambda: list(pool.map(lambda name: move(name, host), GUESTS)), 1)

    def drained() -> float:
        with service(eight.hosts):
            took = quickest(lambda: drain.drain(eight.remote, eight.hosts, "host1", ADMIN, lambda _: None), 1)
        assert set(eight.homes().values()) == {HOST2}
        eight.rows("UPDATE hosts SET enabled = true")
        return took

    beside("a drain of eight guests", drained, lambda: by_hand("host1"), MOST)
    eight.check()
