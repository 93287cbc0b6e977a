"""All roles on one server, by the guide's own commands: it does the main job after a reboot."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from invirt_lab import cluster, console, fresh, pages
from invirt_lab.browser import words
from invirt_lab.site import DOMAIN, GATEWAY, GUESTS, REALM, SERVERS, Site
from tests.lab.users import eventually
from tests.site import guide
from tests.site.units import missing, wrong

ONE = "one"
NAMED = {"server1.example.org": ONE}
ANSWERS = {
    "Domain": DOMAIN,
    "The machines' router": GATEWAY,
    "The first address": GUESTS[0],
    "The last address": GUESTS[1],
    "Name of the first user": "alice",
}
ROLES = ("database", "remote", "host", "dns", "dhcp", "console", "web")


def said(*argv: str) -> str:
    """What a command on the server says, whatever comes of it."""
    done = cluster.on(ONE, *argv, check=False)
    return done.stdout + done.stderr


def invirt(*argv: str) -> str:
    """What alice's command says, which has to succeed."""
    return cluster.as_user("alice", "invirt", *argv, timeout=180).stdout


@pytest.fixture(scope="module")
def machine(site: Site) -> Iterator[str]:
    """A machine that runs there, made after a reboot of the server."""
    guide.serve_archive()
    guide.is_new(ONE)
    (known,) = guide.of(guide.EACH, NAMED)
    guide.run(ONE, known)
    make, reboot = guide.of(guide.ONE, NAMED)
    told = guide.run_on_terminal(ONE, make, ANSWERS)
    assert f"kinit alice@{REALM}" in told and "is in /var/lib/invirt-setup/password" in told
    fresh.adopt(site)
    guide.run(ONE, reboot)
    eventually(lambda: not missing(ONE), "all roles to be there after the reboot")
    (typed,) = guide.of(guide.USER, NAMED)
    _, there = guide.sit_down("alice", typed)
    assert there == ["ssh", f"remus@{SERVERS[ONE].fqdn}"]
    yield "remus"


def test_a_guest_has_its_address_and_is_on_its_console(machine: str) -> None:
    address = json.loads(invirt("show", machine, "--json"))["nics"][0]["ip"]
    asked = f"until ip -4 addr show eth0 | grep -w {address}; do sleep 0.2; done; cat /etc/resolv.conf"
    seen = console.ask_over_ssh("alice", machine, asked, server=ONE)
    assert f"inet {address}/24" in seen
    assert f"nameserver {SERVERS[ONE].address}" in seen
    assert cluster.on("client", "dig", "+short", f"{machine}.invirt.test").stdout.split() == [address]
    cluster.on("client", "ping", "-c", "1", "-w", "30", f"{machine}.invirt.test")
    assert "bytes from" in console.ask_over_ssh("alice", machine, "ping -c 1 one.invirt.test", server=ONE)


def test_the_page_shows_it(machine: str) -> None:
    told = words(pages.browser("alice", SERVERS[ONE].fqdn).ask(f"/machines/{machine}").text)
    assert f"{machine} running" in told and "Host one" in told


def test_remctl_lists_it(machine: str) -> None:
    assert machine in cluster.as_user("alice", "remctl", SERVERS[ONE].fqdn, "machine", "list").stdout


def test_nothing_has_failed(machine: str) -> None:
    assert not said("systemctl", "list-units", "--failed", "--plain", "--no-legend")
    for role in ROLES:
        assert cluster.on(ONE, "invirt-config", "ports", role).returncode == 0
    eventually(lambda: wrong(ONE) == [], "invirt-check to find nothing")


def test_set_up_again_all_is_so(machine: str) -> None:
    fresh.is_set_up(ONE)


@pytest.mark.nightly
def test_after_a_power_cut_it_runs_again(machine: str) -> None:
    cluster.kill(ONE)
    fresh.boot(ONE)
    eventually(lambda: not missing(ONE), "all roles to be there after the power cut")
    eventually(lambda: machine in cluster.on(ONE, "xm", "list").stdout, "the guest to be booted again")
    assert "up" in console.ask_over_ssh("alice", machine, "echo up", server=ONE)
