"""What others want of a machine amid its move: they are told, and the move comes to its end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import pytest

from invirt.base.errors import Busy
from invirt.database.connection import connect
from invirt.remote.operations import Operation, submit
from invirt.remote.operations.model import Actor
from tests.parts.operations.conftest import ALICE, HOST1, HOST2, Site
from tests.parts.operations.fakehosts import FakeHosts, meant

ADMIN = Actor("root/admin@INVIRT.TEST", administrator=True)


class Held(FakeHosts):
    """Hosts that send a guest when they are let."""

    def __init__(self, *hostnames: str) -> None:
        super().__init__(*hostnames)
        self.sending, self.go = threading.Event(), threading.Event()

    def call(self, hostname: str, *words: str, timeout: float) -> str:
        """See Hosts."""
        if meant(words)[1] == "send":
            self.sending.set()
            assert self.go.wait(60)
        return super().call(hostname, *words, timeout=timeout)


def by_another(kind: str, actor: Actor, hosts: FakeHosts) -> Operation:
    """What another remote server is asked for."""
    with closing(connect()) as connected:
        return submit(kind, actor, "remus", hosts=hosts, connection=connected)


@contextmanager
def amid(site: Site) -> Iterator[Held]:
    """remus is being sent from the first host; in the end it is on the second one."""
    held = site.hosts = Held(HOST1, HOST2)
    site.create("remus")
    site.submit("boot", "remus")
    with ThreadPoolExecutor() as pool:
        moved = pool.submit(by_another, "migrate", ADMIN, held)
        try:
            assert held.sending.wait(60)
            yield held
        finally:
            held.go.set()
    assert moved.result().state == "done"
    assert site.homes() == {"remus": HOST2}
    site.check()


@pytest.mark.parametrize("kind", ["destroy", "shutdown", "reboot", "boot", "delete"])
def test_its_owner_is_told(site: Site, kind: str) -> None:
    with amid(site), pytest.raises(Busy, match="migrate of remus .* is under way"):
        site.submit(kind, "remus")
    assert site.submit("destroy", "remus", who=ALICE).state == "done"


def test_two_remotes_move_it_at_once(site: Site) -> None:
    with amid(site) as held, pytest.raises(Busy, match="migrate of remus .* is under way"):
        by_another("migrate", ADMIN, held)
    by_another("migrate", ADMIN, held)
    assert site.homes() == {"remus": HOST1}
    site.check()


def test_both_hosts_keep_room_for_it_meanwhile(site: Site) -> None:
    with amid(site):
        reserved = "SELECT h.hostname::text FROM reservations JOIN hosts h USING (host_id) ORDER BY 1"
        assert site.rows(reserved) == [(HOST1,), (HOST2,)]
    assert site.rows(reserved) == [(HOST2,)]
