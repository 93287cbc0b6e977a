"""Three servers, by the guide's own commands: a first one, and two that join it by tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from invirt_lab import cluster, console, fresh
from invirt_lab.site import SERVERS, Site, resolver_file
from tests.site import guide
from tests.site.units import wrong

FIRST, CONSOLE, HOST = "four", "five", "six"
NAMED = {
    "192.0.2.5": FIRST,
    "console.example.org": CONSOLE,
    "192.0.2.11": CONSOLE,
    "host1.example.org": HOST,
    "192.0.2.12": HOST,
    "server1.example.org": CONSOLE,
}
pytestmark = pytest.mark.nightly


def join(server: str, told: str) -> None:
    """What the guide says for a new server, with the line that the first one has printed for it."""
    (text,) = guide.of(guide.OTHER, {**NAMED, "host1.example.org": server})
    beginning = next(line for line in text.splitlines() if "…" in line).removesuffix("…")
    printed = next(line for line in told.splitlines() if line.startswith(beginning))
    guide.run(server, text.replace(f"{beginning}…", printed))


@pytest.fixture(scope="module")
def there(site: Site) -> Iterator[list[str]]:
    """What leads a user to the console of a machine on these servers."""
    guide.serve_archive()
    for server in (FIRST, CONSOLE, HOST):
        fresh.another(server)
        guide.is_new(server)
        guide.run(server, *guide.of(guide.EACH, NAMED))
    (answers,) = guide.of(guide.ANSWERS, NAMED)
    cluster.on(FIRST, "sh", "-c", "cat >/root/site.yaml", input=answers)
    make, offer = guide.of(guide.FIRST, NAMED)
    guide.run(FIRST, make)
    told = guide.run(FIRST, offer)
    for server in (HOST, CONSOLE):
        join(server, told)
    resolver = resolver_file(SERVERS["client"], SERVERS[FIRST].address)
    cluster.on("client", "sh", "-c", "cat >/etc/resolv.conf", input=resolver)
    fresh.adopt(replace(site, kdc=FIRST, database=FIRST, console=CONSOLE, web=CONSOLE))
    _, ssh = guide.sit_down("alice", *guide.of(guide.USER, NAMED))
    yield ssh


def test_a_guest_is_on_its_console(there: list[str]) -> None:
    assert there == ["ssh", f"remus@{SERVERS[CONSOLE].fqdn}"]
    pinged = f"ping -c 1 {SERVERS[FIRST].fqdn}"
    assert "bytes from" in console.ask_over_ssh("alice", "remus", pinged, server=CONSOLE)


@pytest.mark.parametrize("server", [FIRST, CONSOLE, HOST])
def test_all_is_well_and_stays_so(there: list[str], server: str) -> None:
    fresh.is_set_up(server)
    assert wrong(server) == []
