"""The rules of a guest's interface, loaded for real in a network namespace of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

# The rule that counts each frame, and whether the host gets it.
EXPECTED = {
    "own packet": ["accept in ip_of_guest", True],
    "own DHCP request": ["DHCP request", False],
    "own ARP request": ["accept in arp_of_guest", False],
    "ARP probe": ["accept in arp_of_guest", False],
    "other MAC": ["MAC of another", False],
    "other address": ["address of another", False],
    "host's address": ["address of another", False],
    "no address but not DHCP": ["address of another", False],
    "ARP for another": ["ARP: address of another", False],
    "ARP for the gateway": ["ARP: address of another", False],
    "ARP with another's MAC": ["ARP: MAC of another", False],
    "ARP of an odd kind": ["ARP: operation", False],
    "DHCP answer": ["DHCP answer", False],
    "router advertisement": ["IPv6", False],
    "VLAN tag": ["VLAN tag", False],
    "VLAN tag of a provider": ["VLAN tag", False],
    "spanning tree": ["protocol", False],
    "unknown protocol": ["protocol", False],
}


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    """What became of each frame that the guest forged."""
    script = Path(__file__).with_name("guest_side.py")
    done = subprocess.run(
        ["unshare", "--net", sys.executable, script], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.parametrize("frame", EXPECTED)
def test_frame(seen: dict[str, Any], frame: str) -> None:
    assert seen["frames"][frame] == EXPECTED[frame]


def test_every_frame_is_expected(seen: dict[str, Any]) -> None:
    assert seen["frames"].keys() == EXPECTED.keys()


def test_host_answers_arp_for_everybody_else(seen: dict[str, Any]) -> None:
    assert seen["answers"] == ["192.0.2.50"]


def test_nothing_is_left(seen: dict[str, Any]) -> None:
    assert seen["left"] == ""
