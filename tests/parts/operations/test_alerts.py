"""The alert rules of docs/prometheus, by Debian's Prometheus: each fires when its fault is there."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from prometheus_client.metrics_core import Metric

from invirt.base.errors import CommandFailed, InvirtError
from invirt.remote import doors, metrics
from tests.parts.operations.conftest import HOST1, HOST2, Site
from tests.parts.operations.fakehosts import failing
from tests.parts.operations.test_observed import RUNS_MORE, SIGN, TELL

pytestmark = pytest.mark.nightly
FOLDER = Path(__file__).parents[3] / "docs/prometheus"
FIRING = 'count by (alertname) (ALERTS{{alertstate="firing", alertname=~"{}"}})'
STUCK = """
INSERT INTO operations (kind, machine_name, principal, token, state)
VALUES ('purge', 'x', 'alice@X', 1, 'stuck')
"""
LAPSED = """
INSERT INTO operations (kind, machine_name, principal, token, state, lease_holder, lease_until)
VALUES ('purge', 'y', 'alice@X', 2, 'running', 'nobody', now() - interval '1 hour')
"""


def promtool(*words: object) -> None:
    """Raises what it found wrong."""
    done = subprocess.run(
        ["promtool", *map(str, words)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def firing(families: list[list[Metric]], folder: Path, *expected: str, among: str = ".*") -> None:
    """Asserts that these are all that fire when what was told last has been so for a quarter of an hour.

    among: a regular expression of those that count.
    """
    series: dict[str, list[float]] = {}
    for told in families:
        for sample in (sample for family in told for sample in family.samples):
            labels = ",".join(f"{name}={json.dumps(value)}" for name, value in sorted(sample.labels.items()))
            series.setdefault(f"{sample.name}{{{labels}}}", []).append(sample.value)
    last = [{"series": name, "values": f"{values[0]} {values[-1]}x60"} for name, values in series.items()]
    wanted = [{"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in expected]
    test = {
        "interval": "1m",
        "input_series": last,
        "promql_expr_test": [{"expr": FIRING.format(among), "eval_time": "14m", "exp_samples": wanted}],
    }
    file = folder / "test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(FOLDER / "alerts.yaml")], "tests": [test]}))
    promtool("test", "rules", file)


Look = Callable[[], list[Metric]]


@pytest.fixture
def look(site: Site, monkeypatch: pytest.MonkeyPatch) -> Look:
    """What is told of a site where all is well."""
    monkeypatch.setattr(doors, "look", lambda: {"ssh": 0.1})
    for hostname in (HOST1, HOST2):
        site.rows(SIGN, -3600, hostname)
    operations = metrics.Operations()

    def told() -> list[Metric]:
        return [*metrics.Site(operations, doors.look).collect(), *operations.seconds.collect()]

    told()  # operations are counted from now on
    return told


def test_nothing_fires_where_all_is_well(site: Site, look: Look, tmp_path: Path) -> None:
    first = look()
    site.create("remus")
    site.submit("boot", "remus")
    firing([first, look()], tmp_path)


Fault = Callable[[Site], object]
FAULTS: dict[str, Fault] = {
    "InvirtHostSilent": lambda site: site.rows(SIGN, 40, HOST2),
    "InvirtHostStrangers": lambda site: site.rows(RUNS_MORE, HOST2),
    "InvirtOperationStuck": lambda site: site.rows(STUCK),
    "InvirtLeaseLapsed": lambda site: site.rows(LAPSED),
    "InvirtLossNotAbsorbed": lambda site: site.rows("UPDATE hosts SET enabled = false WHERE name = 'host2'"),
    "InvirtMemoryShort": lambda site: site.rows("UPDATE hosts SET memory = 128"),
}


@pytest.mark.parametrize("alert", list(FAULTS))
def test_each_fires_at_its_fault(site: Site, look: Look, tmp_path: Path, alert: str) -> None:
    site.create("remus")
    site.submit("boot", "remus")
    if alert == "InvirtMemoryShort":
        site.create("romulus")
        site.submit("boot", "romulus")
    first = look()
    FAULTS[alert](site)
    more = {"InvirtHostSilent": ["InvirtLossNotAbsorbed"], "InvirtMemoryShort": ["InvirtLossNotAbsorbed"]}
    firing([first, look()], tmp_path, alert, *more.get(alert, []))


def test_two_claims_fire(site: Site, look: Look, tmp_path: Path) -> None:
    site.create("remus")
    site.submit("boot", "remus")
    first = look()
    for hostname in (HOST1, HOST2):
        site.rows(TELL, "running", hostname)
    firing([first, look()], tmp_path, "InvirtClaimedTwice")


def test_failing_operations_fire(site: Site, look: Look, tmp_path: Path) -> None:
    """The first that is, too."""
    site.create("remus")
    site.hosts.fault = failing("create")
    first = look()
    with pytest.raises(CommandFailed):
        site.submit("boot", "remus")
    firing([first, look()], tmp_path, "InvirtOperationsUndone")


def test_what_is_gone_fires(site: Site, look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    firing([], tmp_path, "InvirtMetricsGone")
    monkeypatch.setattr(doors, "look", lambda: {"ssh": None})

    def gone() -> None:
        raise InvirtError("gone")

    monkeypatch.setattr("invirt.database.connection.connect", gone)
    firing([look()], tmp_path, "InvirtDatabaseDown", "InvirtDoorClosed")


def test_all_rules_and_panels_ask_for_what_is_told(look: Look, tmp_path: Path) -> None:
    """What the dashboard asks for is understood, too."""
    promtool("check", "rules", FOLDER / "alerts.yaml")
    panels = json.loads((FOLDER / "dashboard.json").read_text())["panels"]
    asked = [target["expr"] for panel in panels for target in panel["targets"]]
    rules = [{"record": f"panel:{number}", "expr": expr} for number, expr in enumerate(asked)]
    file = tmp_path / "panels.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    promtool("check", "rules", file)
    groups = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    asked += [rule["expr"] for group in groups for rule in group["rules"]]
    told = {family.name for family in look()}
    assert {word for expr in asked for word in _names(expr)} <= told
    alerts = {rule["alert"] for group in groups for rule in group["rules"]}
    others = {"InvirtClaimedTwice", "InvirtOperationsUndone", "InvirtMetricsGone", "InvirtDatabaseDown"}
    assert alerts == {*FAULTS, *others, "InvirtDoorClosed"}


def _names(expr: str) -> set[str]:
    words = "".join(letter if letter.isalnum() or letter == "_" else " " for letter in expr).split()
    return {
        word.removesuffix("_count").removesuffix("_bucket") for word in words if word.startswith("invirt_")
    }
