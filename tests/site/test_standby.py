"""A further server that the answers name for the database joins by its token, and has a copy that follows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from invirt_lab import cluster, fresh
from invirt_lab.site import DOMAIN, GATEWAY, GUESTS, REALM, SERVERS, Site
from tests.lab.users import eventually
from tests.site.units import wrong

FIRST, COPY = "five", "six"
ANSWERS = f"""\
domain: {DOMAIN}
realm: {REALM}
addresses: {{gateway: {GATEWAY}, first: {GUESTS[0]}, last: {GUESTS[1]}}}
roles: [database, remote]
synchronous: true
servers:
  - {{name: {SERVERS[COPY].fqdn}, address: {SERVERS[COPY].address}, roles: [database]}}
"""
BOTH = {
    SERVERS[FIRST].fqdn: ("the database", "synchronous"),
    SERVERS[COPY].fqdn: ("a copy", "follows"),
}
pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def joined(site: Site) -> Iterator[str]:
    """What has joined, by a run that was killed and the same line again."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(fresh.anew, (FIRST, COPY)))
    cluster.on(FIRST, "sh", "-c", "cat >/root/site.yaml", input=ANSWERS)
    cluster.on(FIRST, "invirt-setup", "--answers", "/root/site.yaml", timeout=900)
    line = offered()
    fresh.killed(COPY, 8, *line)
    cluster.on(COPY, *line, timeout=900)
    yield COPY


def offered() -> list[str]:
    """What the first server has printed for the other one."""
    said = cluster.on(FIRST, "invirt-setup", "token", SERVERS[COPY].fqdn).stdout
    return next(line.split() for line in said.splitlines() if line.startswith("invirt-setup join "))


def told(server: str) -> dict[str, tuple[str, str]]:
    """What each server has, and what is said of it, as one of them sees it."""
    rows = json.loads(cluster.on(server, "invirt-database-standby", "status", "--json").stdout)
    return {row["server"]: (row["has"], row["word"]) for row in rows}


@pytest.mark.parametrize("server", [FIRST, COPY])
def test_it_follows_and_is_waited_for(joined: str, server: str) -> None:
    eventually(lambda: told(server) == BOTH, "the copy to be waited for")


@pytest.mark.parametrize("server", [FIRST, COPY])
def test_set_up_again_all_is_so(joined: str, server: str) -> None:
    fresh.is_set_up(server)
    cluster.on(server, "invirt-setup", "--check", timeout=120)
    assert wrong(server) == []


def test_a_server_that_invirt_yaml_does_not_name_for_it_gets_no_token(joined: str) -> None:
    words = ("--role", "database", "--address", SERVERS[COPY].address)
    refused = cluster.on(FIRST, "invirt-setup", "token", f"seven.{DOMAIN}", *words, check=False)
    assert refused.returncode and "database.copies in /etc/invirt/invirt.yaml doesn't have" in refused.stderr


def test_one_that_is_lost_is_made_anew(joined: str) -> None:
    """By another token, as the guide has it."""
    fresh.anew(COPY)
    cluster.on(COPY, *offered(), timeout=900)
    eventually(lambda: told(COPY) == BOTH, "the new copy to be waited for")
    assert wrong(COPY) == []
