"""What Prometheus is told, from a real database, over HTTP."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parsed

from invirt import config
from invirt.base import knocking
from invirt.base.errors import CommandFailed, InvirtError
from invirt.remote.commands import metrics
from tests.parts.operations.conftest import HOST1, HOST2, Site
from tests.parts.operations.fakehosts import failing
from tests.parts.operations.test_observed import SIGN, TELL

OPENMETRICS = "application/openmetrics-text"
Told = Callable[[], dict[str, float]]


@pytest.fixture
def told(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    """What is told, by name and labels."""
    monkeypatch.setattr(metrics, "FRESH", 0.0)
    monkeypatch.setattr(knocking, "DEADLINE", 0.2)
    serving = metrics.server(0)
    thread = threading.Thread(target=serving.serve_forever, args=(0.01,))
    thread.start()
    address = f"http://127.0.0.1:{serving.server_address[1]}"

    def ask() -> dict[str, float]:
        wanted = urllib.request.Request(f"{address}/metrics", headers={"Accept": OPENMETRICS})
        with urllib.request.urlopen(wanted, timeout=30) as answer:
            assert answer.headers["Content-Type"].startswith(OPENMETRICS)
            found = {}
            for family in parsed(answer.read().decode()):
                for sample in family.samples:
                    found[" ".join([sample.name, *sorted(sample.labels.values())])] = sample.value
            return found

    try:
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"{address}/", timeout=30)
        yield ask
    finally:
        serving.shutdown()
        thread.join()
        serving.server_close()


def test_the_site_is_told(site: Site, told: Told) -> None:
    for hostname, silence in ((HOST1, 0), (HOST2, 40)):
        site.rows(SIGN, silence, hostname)
    site.create("remus", memory=384)
    site.submit("boot", "remus")
    site.rows(SIGN, 0, HOST1)
    site.rows(TELL, "running", HOST1)
    now = told()
    assert now["invirt_database_up"] == 1 and 0 < now["invirt_database_seconds"] < 60
    assert now["invirt_machines host1 running"] == 1
    assert now["invirt_host_memory_bytes host1"] == 512 << 20
    assert now["invirt_host_reserved_bytes host1"] == 384 << 20
    assert now["invirt_host_silence_seconds host1"] < 15 < 39 < now["invirt_host_silence_seconds host2"]
    assert (now["invirt_loss_absorbed"], now["invirt_worst_loss_unplaced_bytes host1"]) == (0, 384 << 20)
    assert now["invirt_claimed_twice"] == now["invirt_operations_open stuck"] == 0
    assert now["invirt_door_up remctl remote.invirt.test"] == 0
    site.rows(SIGN, 0, HOST2)
    assert told()["invirt_loss_absorbed"] == 1


def test_operations_are_counted_once_each(site: Site, told: Told) -> None:
    site.create("remus")
    for _ in range(2):
        now = told()
        assert now["invirt_operation_seconds_count create done"] == 1
        assert now["invirt_operation_seconds_bucket +Inf create done"] == 1
    site.hosts.fault = failing("create")
    with pytest.raises(CommandFailed):
        site.submit("boot", "remus")
    assert told()["invirt_operation_seconds_count boot undone"] == 1


def test_what_began_before_and_ended_since_is_counted(site: Site, told: Told) -> None:
    site.rows(
        "INSERT INTO operations (kind, machine_name, principal, token, state)"
        " VALUES ('purge', 'remus', 'alice@X', 1, 'stuck')"
    )
    assert told()["invirt_operations_open stuck"] == 1
    site.rows("UPDATE operations SET state = 'undone', finished_at = now()")
    now = told()
    assert now["invirt_operation_seconds_count purge undone"] == 1
    assert now["invirt_operations_open stuck"] == 0


def test_no_user_is_named_unless_that_is_asked_for(site: Site, told: Told) -> None:
    site.create("remus")
    assert not [name for name in told() if "alice" in name or "remus" in name]
    file = site.database.config
    file.write_text(file.read_text() + "metrics: {owners: true}\n")
    config.reload()
    now = told()
    assert now["invirt_owner_machines alice"] == 1
    assert not [name for name in now if "remus" in name]


def test_a_database_that_is_gone_is_told(site: Site, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> None:
        raise InvirtError("gone")

    monkeypatch.setattr("invirt.database.connection.connect", gone)
    now = told()
    assert now["invirt_database_up"] == 0
    assert "invirt_loss_absorbed" not in now and "invirt_door_up remctl remote.invirt.test" in now
