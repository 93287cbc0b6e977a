"""What a boot and a move cost the first domains' processors, against bare xl for the same guest."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from invirt_lab.xen_host import Xen
from tests.results import Result, keep
from tests.xen.test_guests import NAME, told
from tests.xen.test_moves import LONG, SETTINGS, hosts, move

pytestmark = pytest.mark.nightly

__all__ = ["hosts"]  # a fixture
TICKS = 100  # a second
PORT = 3999
FILE = "/root/bare"
BARE = f"""
from invirt.host.xen.config import rendered
open({FILE!r}, "w").write(rendered(DomainConfig(json.loads({json.dumps(SETTINGS)!r}))))
"""


def cost(act: Callable[[], object], *hosts: Xen) -> float:
    """Seconds that the hosts' processors were at work for it, but for guests' own."""

    def busy() -> float:
        lines = [xen.sh("head -n 1 /proc/stat").split() for xen in hosts]
        return (
            sum(int(word) for line in lines for word in (line[1], line[2], line[3], line[6], line[7])) / TICKS
        )

    before = busy()
    act()
    return busy() - before


def table(what: str, ours: float, bare: float, limit: float) -> None:
    """A single turn of each: the limit is shown, and twice as much is no noise any more."""
    keep(Result(what, ours, "s of processor", bare=bare))
    assert keep(Result(f"{what}, to bare xl", ours / bare, "times", limit)).sound


def test_a_boot(hosts: tuple[Xen, Xen]) -> None:
    """The domain that is there makes way first."""
    first = hosts[0]

    def ended() -> None:
        told(first, "xen.destroy(NAME)")
        first.sh("sleep 5")

    def ours() -> None:
        told(first, f"xen.create(DomainConfig(json.loads({json.dumps(SETTINGS)!r})))")

    ended()
    mine = cost(ours, first)
    told(first, BARE)
    ended()
    table("create on Xen", mine, cost(lambda: first.sh(f"xl create -q {FILE}"), first), 1.3)


def test_a_move(hosts: tuple[Xen, Xen]) -> None:
    """There, and back as xl does it."""
    first, second = hosts
    mine = cost(lambda: move(hosts), *hosts)
    receive = f"timeout {LONG} socat TCP-LISTEN:{PORT},reuseaddr EXEC:'xl migrate-receive'"
    send = f"sleep 10; xl migrate -s '' {NAME} 'exec socat - TCP:10.9.0.1:{PORT}'"

    def bare() -> None:
        with ThreadPoolExecutor(1) as beside:
            there = beside.submit(first.sh, receive, timeout=LONG)
            second.sh(send, timeout=LONG)
            there.result()

    table("migrate on Xen", mine, cost(bare, *hosts), 1.2)
