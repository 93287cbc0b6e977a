"""What hosts tell of their guests, and what remote servers tell Prometheus."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator

import pytest

from invirt_lab.site import DOMAIN, HOSTS, SERVERS
from tests.lab.faults import guest, places
from tests.lab.users import Lab, eventually
from tests.results import longest

__all__ = ["guest"]  # fixture
OFF = 2.0  # seconds: what is wanted
SCRAPE = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=20).read().decode())"
METRICS = "http://localhost:9373/metrics"


def shown(lab: Lab, name: str) -> dict[str, object]:
    """What its owner sees of a machine."""
    found: dict[str, object] = json.loads(lab.remctl("alice", "machine", "show", name, "--json"))
    return found


@contextlib.contextmanager
def left_alone(lab: Lab) -> Iterator[None]:
    """Nobody boots again what has crashed."""
    lab.on("remote", "systemctl", "stop", "invirt-reconcile.timer")
    try:
        yield
    finally:
        lab.on("remote", "systemctl", "start", "invirt-reconcile.timer")


@pytest.fixture
def home(lab: Lab, guest: str) -> str:
    """Where the guest runs, which its host has told."""
    eventually(lambda: shown(lab, guest)["state"] == "running", "the guest to be seen")
    [host] = places(lab, guest)
    return host


def test_an_observer_that_is_killed_goes_on(lab: Lab, guest: str, home: str) -> None:
    before = shown(lab, guest)["since"]
    lab.on(home, "systemctl", "kill", "--signal=KILL", "invirt-host-observer")
    sign = f"SELECT seen_at > '{lab.sql('SELECT now()').strip()}' FROM host_signs JOIN hosts USING (host_id)"
    eventually(lambda: "t" in lab.sql(f"{sign} WHERE name = '{home}'"), "the host's next sign")
    now = shown(lab, guest)
    assert now["state"] == "running" and str(now["since"])[:16] == str(before)[:16]


def test_a_guest_that_dies_is_shown_as_off(lab: Lab, guest: str, home: str) -> None:
    with left_alone(lab):
        began = time.monotonic()
        lab.on(home, "systemctl", "kill", "--signal=KILL", f"invirt-guest@d_{guest}.service")
        eventually(lambda: shown(lab, guest)["state"] == "off", "the guest to be seen as off")
        longest("lab: a guest that died is shown as off", time.monotonic() - began, OFF)
        assert shown(lab, guest)["ended"] == "crash"
    eventually(lambda: shown(lab, guest)["state"] == "running", "the guest to be booted again")


def page(lab: Lab) -> str:
    """What remote tells Prometheus, in its oldest form; nothing if it doesn't answer."""
    return lab.on("remote", "python3", "-c", SCRAPE, METRICS, check=False).stdout


def scraped(lab: Lab) -> dict[str, float]:
    """The same, by name and labels."""
    samples = [line.rpartition(" ") for line in page(lab).splitlines() if line and line[0] != "#"]
    return {name: float(value) for name, _, value in samples}


def test_the_site_is_told(lab: Lab, guest: str, home: str) -> None:
    told = scraped(lab)
    assert told["invirt_database_up"] == 1
    assert told[f'invirt_machines{{host="{home}",state="running"}}'] >= 1
    for host in HOSTS:
        assert told[f'invirt_host_silence_seconds{{host="{host}"}}'] < 15
        assert told[f'invirt_host_strangers{{host="{host}"}}'] == 0
    for door in ("remctl remote", "ssh console", "dns dns"):
        assert told[f'invirt_door_up{{door="{door}.{DOMAIN}"}}'] == 1
    assert told["invirt_loss_absorbed"] in (0, 1)


def test_others_are_told_nothing(lab: Lab) -> None:
    """Only metrics.readers are let in."""
    address = METRICS.replace("localhost", SERVERS["remote"].fqdn)
    assert "refused" in lab.on("client", "python3", "-c", SCRAPE, address, check=False).stderr
