"""The alert rules, by Debian's Prometheus: each fires when its fault is made on the lab's servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from invirt_lab.site import HOSTS, SERVERS
from tests.lab.faults import Make, guest, held, open_operations, places
from tests.lab.test_observed import home, left_alone, page
from tests.lab.users import Lab, eventually
from tests.parts.operations.test_alerts import firing

__all__ = ["guest", "home"]  # fixtures
pytestmark = pytest.mark.nightly
SPARE = SERVERS["remote2"].fqdn
VOLUME = "/usr/sbin/invirt-host-volume"
GONE = """
WITH gone AS (DELETE FROM reservations r USING machines m
    WHERE r.machine_id = m.machine_id AND m.name = '{}' RETURNING r.*)
SELECT machine_id, host_id, memory FROM gone
"""
BACK = "INSERT INTO reservations (machine_id, host_id, memory) VALUES ({})"
CLAIM = """
INSERT INTO guest_states (machine_id, host_id, state, since)
    SELECT machine_id, h.host_id, 'running', now() FROM machines m, hosts h
    WHERE m.name = '{}' AND h.name = '{}'
"""
UNCLAIM = "DELETE FROM guest_states USING hosts h WHERE h.host_id = guest_states.host_id AND h.name = '{1}'"
PROMISED = "SELECT sum(r.memory) FROM reservations r JOIN hosts USING (host_id) WHERE name = '{}'"
LAST = "SELECT max(operation_id) FROM operations"

Fault = Callable[[Lab, Make, str], AbstractContextManager[None]]


@contextmanager
def stopped(server: str, unit: str, lab: Lab, machine: Make, home: str) -> Iterator[None]:
    """A service that is gone."""
    try:
        lab.on(server, "systemctl", "stop", unit)
        yield
    finally:
        lab.on(server, "systemctl", "start", unit)


def booted(lab: Lab, machine: Make) -> tuple[str, str]:
    """A machine that its host tells to be running, and the host."""
    name = machine()
    lab.remctl("alice", "control", name, "create")
    state = f"SELECT state FROM machine_states JOIN machines USING (machine_id) WHERE name = '{name}'"
    eventually(lambda: lab.sql(state).strip() == "running", "the guest to be seen")
    return name, places(lab, name)[0]


@contextmanager
def disabled(lab: Lab, machine: Make, home: str) -> Iterator[None]:
    """One host alone takes new guests, so nothing could take over its own."""
    away = [name for name in HOSTS if name != home]
    try:
        for name in away:
            lab.admin("host", "set", name, "--disable")
        yield
    finally:
        for name in away:
            lab.admin("host", "set", name, "--enable")


@contextmanager
def all_promised(lab: Lab, machine: Make, home: str) -> Iterator[None]:
    """The one host that takes guests has no more memory than is promised there."""
    memory = lab.sql(f"SELECT memory FROM hosts WHERE name = '{home}'").strip()
    with disabled(lab, machine, home):
        try:
            lab.admin("host", "set", home, "--memory", f"{lab.sql(PROMISED.format(home)).strip()}M")
            yield
        finally:
            lab.admin("host", "set", home, "--memory", f"{memory}M")


@contextmanager
def no_guest_starts(lab: Lab, machine: Make, home: str) -> Iterator[None]:
    """A machine whose boots fail on each host."""
    name = machine()
    unit = f"invirt-guest@d_{name}.service"
    try:
        lab.on_hosts("systemctl", "mask", "--runtime", unit)
        for _ in range(2):
            assert lab.try_remctl("alice", "control", name, "create").returncode != 0
        yield
    finally:
        lab.on_hosts("systemctl", "unmask", "--runtime", unit)


@contextmanager
def nobody_goes_on(lab: Lab, machine: Make, home: str) -> Iterator[None]:
    """A boot whose worker was killed, with nobody to take it up."""
    name, units = machine(), ("invirt-remctld@*", "invirt-remote-warm.service")
    with stopped("remote", "invirt-operations.service", lab, machine, home):
        with ThreadPoolExecutor() as pool, held(name):
            call = pool.submit(lab.try_remctl, "alice", "control", name, "create")
            eventually(lambda: open_operations(lab), "the operation to begin")
            lab.on("remote", "systemctl", "kill", "--signal=KILL", *units, check=False)
            assert call.result().returncode != 0
        yield


@contextmanager
def unpromised(lab: Lab, machine: Make, home: str) -> Iterator[None]:
    """A guest that runs, for which its host has no reservation any more."""
    with left_alone(lab):
        name, _ = booted(lab, machine)
        row = lab.sql(GONE.format(name)).strip()
        try:
            yield
        finally:
            lab.sql(BACK.format(row.replace("|", ", ")))


@contextmanager
def claimed(lab: Lab, machine: Make, home: str) -> Iterator[None]:
    """Another host says to have a guest, too."""
    name, host = booted(lab, machine)
    other = next(one for one in HOSTS if one != host)
    try:
        lab.sql(CLAIM.format(name, other))
        yield
    finally:
        lab.sql(f"{UNCLAIM.format(name, other)} AND machine_id = {machine_number(lab, name)}")


def machine_number(lab: Lab, name: str) -> str:
    return lab.sql(f"SELECT machine_id FROM machines WHERE name = '{name}'").strip()


@contextmanager
def no_volume_changes(lab: Lab, machine: Make, home: str) -> Iterator[None]:
    """What makes volumes and removes them is broken on all hosts: a create fails, and so does its undoing."""
    try:
        lab.on_hosts("mount", "--bind", "/bin/false", VOLUME)
        lab.try_remctl("alice", "machine", "create", "pollux", "--memory", "128", "--disk", "1")
        yield
    finally:
        lab.on_hosts("umount", VOLUME)
        lab.on("remote", "invirt-operations", "retry", lab.sql(LAST).strip())


FAULTS: dict[str, Fault] = {
    "InvirtHostSilent": partial(stopped, "host2", "invirt-host-observer.service"),
    "InvirtMetricsGone": partial(stopped, "remote", "invirt-metrics.service"),
    "InvirtDoorClosed": partial(stopped, "console", "ssh.service"),
    "InvirtDatabaseDown": partial(stopped, "db", "postgresql.service"),
    "InvirtLossNotAbsorbed": disabled,
    "InvirtMemoryShort": all_promised,
    "InvirtOperationsUndone": no_guest_starts,
    "InvirtLeaseLapsed": nobody_goes_on,
    "InvirtHostStrangers": unpromised,
    "InvirtClaimedTwice": claimed,
    "InvirtOperationStuck": no_volume_changes,
}


def told(lab: Lab) -> list[Metric]:
    """What remote tells Prometheus, but for the spare server, which isn't up."""
    found = list(text_string_to_metric_families(page(lab)))
    for family in found:
        family.samples = [one for one in family.samples if SPARE not in one.labels.get("door", "")]
    return found


@pytest.mark.parametrize("alert", list(FAULTS))
def test_an_alert_fires_at_its_fault(
    lab: Lab, guest: str, home: str, machine: Make, tmp_path: Path, alert: str
) -> None:
    """It doesn't before.  Time is the rules' own: what was told last is told for an hour."""

    def fires(first: list[Metric]) -> bool:
        now = told(lab)
        try:
            firing([first, now] if now else [], tmp_path, alert, among=alert)
        except AssertionError:
            return False
        return True

    eventually(lambda: not fires(told(lab)), f"{alert} not to fire before", 90)
    before = told(lab)
    with FAULTS[alert](lab, machine, home):
        eventually(lambda: fires(before), f"{alert} to fire", 300)  # five tries, until an operation is stuck
