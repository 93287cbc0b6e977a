"""The rules of a guest's interface, loaded for real, against every frame that a guest could forge."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CONFIG = """\
site: {domain: invirt.test, realm: INVIRT.TEST}
database: {hostname: db.invirt.test}
remote: {hostname: remote.invirt.test}
network: {servers: [192.0.2.5, "2001:db8::5"]}
"""
ROUTED = {  # of the honest frames: those that are for the other guest
    *("packet", "packet over TCP", "ping", "first fragment", "later fragment"),
    *("IPv6 packet", "IPv6 packet over TCP", "IPv6 ping", "first IPv6 fragment", "later IPv6 fragment"),
}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What became of each frame."""
    folder = tmp_path_factory.mktemp("host")
    (folder / "invirt.yaml").write_text(CONFIG)
    script = Path(__file__).with_name("guest_side.py")
    environment = ["env", f"INVIRT_CONFIG={folder}/invirt.yaml", f"INVIRT_RUN={folder}"]
    done = subprocess.run(
        ["unshare", "--net", *environment, sys.executable, script],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_forged_frames_are_refused_and_counted(seen: dict[str, Any]) -> None:
    expected = {
        name: {"counters": [name.partition(":")[0]], "host": 0, "victim": 0} for name in seen["forged"]
    }
    assert len(expected) > 90
    assert seen["forged"] == expected


def test_without_rules_the_host_would_get_them_all(seen: dict[str, Any]) -> None:
    assert set(seen["unguarded"]) == set(seen["forged"])


def test_honest_frames_pass(seen: dict[str, Any]) -> None:
    expected = {
        name: {"counters": ["passed"], "host": 1, "victim": int(name in ROUTED)} for name in seen["honest"]
    }
    assert seen["honest"] == expected
    assert set(seen["honest"]) > ROUTED


def test_no_frame_before_the_rules_and_none_after(seen: dict[str, Any]) -> None:
    assert seen["early"] and seen["late"]


def test_host_answers_for_everybody_else(seen: dict[str, Any]) -> None:
    assert seen["answers"] == ["203.0.113.9", "fe80::1"]


def test_host_answers_for_its_guests_on_its_own_network(seen: dict[str, Any]) -> None:
    assert seen["proxies"] == ["192.0.2.17", "192.0.2.18", "2001:db8::17", "2001:db8::18"]
    assert seen["left proxies"] == ["192.0.2.17", "2001:db8::17"]


def test_a_flush_leaves_owned_rules_and_reload_brings_the_others_back(seen: dict[str, Any]) -> None:
    assert seen["flushed"] == ["invirt_inv17"]
    assert seen["reloaded"] == ["invirt_inv17", "invirt_inv18"]
    assert seen["left"] == ["invirt_inv17"]


def test_what_the_host_itself_says_is_not_counted(seen: dict[str, Any]) -> None:
    assert seen["own"] == []
