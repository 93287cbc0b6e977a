"""The rules of a guest's interface, loaded for real, against every frame that a guest could forge."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from invirt.host.network.rules import RATES
from tests.parts.kernel_log import listening

CONFIG = """\
site: {domain: invirt.test, realm: INVIRT.TEST}
database: {hostname: db.invirt.test}
remote: {hostname: remote.invirt.test}
network: {servers: [192.0.2.5, "2001:db8::5"]}
"""
OWN, VICTIM = ["192.0.2.17", "2001:db8::17"], ["192.0.2.18", "2001:db8::18"]
REFUSED, PASSED = ["foreign_ip"], ["passed"]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What became of each frame."""
    folder = tmp_path_factory.mktemp("host")
    (folder / "invirt.yaml").write_text(CONFIG)
    script = Path(__file__).with_name("guest_side.py")
    environment = ["env", f"INVIRT_CONFIG={folder}/invirt.yaml", f"INVIRT_RUN={folder}"]
    began = time.monotonic()
    with listening() as lines:
        done = subprocess.run(
            ["unshare", "--net", *environment, sys.executable, script],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        result: dict[str, Any] = json.loads(done.stdout)
        log = [line for line in lines() if " inv17 refused: " in line]
        return {**result, "log": log, "minutes": (time.monotonic() - began) / 60}


def test_forged_frames_are_refused_and_counted(seen: dict[str, Any]) -> None:
    """Whatever tables of others let them through, loaded before these rules or after."""
    expected = {
        name: {"counters": [name.partition(":")[0]], "host": 0, "victim": 0} for name in seen["forged"]
    }
    assert len(expected) > 100
    assert seen["forged"] == expected


def test_the_log_names_the_guest_and_holds_few_of_many(seen: dict[str, Any]) -> None:
    assert all("invirt d_remus inv17 refused: IN=inv17" in line for line in seen["log"])
    few = 40 + 6 * seen["minutes"]  # six a minute, after the first five of each time that rules are loaded
    assert 5 <= len(seen["log"]) < few < len(seen["forged"])


def test_without_rules_the_host_would_get_them_all(seen: dict[str, Any]) -> None:
    assert set(seen["unguarded"]) == set(seen["forged"])


@pytest.mark.parametrize("kind", ["to_others", "to_host"])
def test_honest_frames_pass(seen: dict[str, Any], kind: str) -> None:
    victim = int(kind == "to_others")
    assert seen[kind]
    assert seen[kind] == {name: {"counters": PASSED, "host": 1, "victim": victim} for name in seen[kind]}


def test_no_frame_before_the_rules_and_none_after(seen: dict[str, Any]) -> None:
    assert seen["early"] and seen["late"]


def test_host_answers_for_everybody_else(seen: dict[str, Any]) -> None:
    assert seen["answers"] == ["203.0.113.9", "fe80::1"]


def test_addresses_lead_to_their_guests_and_the_host_answers_for_them(seen: dict[str, Any]) -> None:
    assert seen["led"] == {
        "inv17": OWN,
        "inv18": VICTIM,
        "proxies": [*OWN[:1], *VICTIM[:1], *OWN[1:], *VICTIM[1:]],
    }
    assert seen["left"] == {"tables": ["invirt_inv17"], "inv17": OWN, "inv18": [], "proxies": OWN}


def test_a_guest_on_its_way_in_takes_no_address_yet(seen: dict[str, Any]) -> None:
    assert seen["guarded"] == {"inv17": [], "inv18": [], "proxies": []}


def test_a_changed_address_counts_at_once_and_the_old_one_no_more(seen: dict[str, Any]) -> None:
    changes = seen["changes"]
    assert changes["changed"] == [REFUSED, PASSED]
    assert changes["led"] == {
        "inv17": ["192.0.2.19"],
        "inv18": VICTIM,
        "proxies": [VICTIM[0], "192.0.2.19", VICTIM[1]],
    }
    assert changes["kept counters"]


def test_swapped_addresses(seen: dict[str, Any]) -> None:
    changes = seen["changes"]
    assert changes["swapped"] == [REFUSED, PASSED]
    assert changes["led after the swap"] == {**seen["led"], "inv17": VICTIM, "inv18": OWN}


def test_without_an_address_the_link_is_down_until_there_is_one(seen: dict[str, Any]) -> None:
    changes = seen["changes"]
    assert changes["silent without"]
    assert changes["led without"] == {"inv17": [], "inv18": OWN, "proxies": OWN}
    assert changes["given back"] == [PASSED, REFUSED]
    assert changes["led at last"] == seen["led"]


def test_guests_that_run_get_the_rules_of_a_new_version(seen: dict[str, Any]) -> None:
    assert [seen["changes"]["old"], seen["changes"]["renewed"]] == [[], REFUSED]


def test_a_flush_leaves_owned_rules_and_reload_brings_the_others_back(seen: dict[str, Any]) -> None:
    assert seen["flushed"] == ["invirt_inv17"]
    assert seen["reloaded"] == seen["mended"] == ["invirt_inv17", "invirt_inv18"]


def test_a_process_that_closes_its_rules_socket_does_not_lose_its_rules(seen: dict[str, Any]) -> None:
    assert seen["kept"] == ["invirt_inv17"]


def test_what_the_host_itself_says_is_not_counted(seen: dict[str, Any]) -> None:
    assert seen["own"] == []


def test_a_guest_says_nothing_about_others_path_mtu(seen: dict[str, Any]) -> None:
    assert seen["lowered without rules"]
    assert not seen["lowered"]


@pytest.mark.parametrize("kind", RATES)
def test_what_costs_others_has_a_rate(seen: dict[str, Any], kind: str) -> None:
    flood, (rate, burst) = seen["floods"][kind], RATES[kind]
    assert flood["passed"] + flood["too_often"] == flood["sent"] == 2 * burst
    assert flood["passed"] <= burst + rate * (flood["seconds"] + 1)
    assert flood["passed"] >= burst / 2  # some have passed in this test before


def test_what_a_guest_has_with_others_has_none(seen: dict[str, Any]) -> None:
    assert seen["floods"]["others"]["passed"] == seen["floods"]["others"]["sent"]
