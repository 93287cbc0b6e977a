"""What an owner sees of what a machine uses."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from invirt.database import usage
from invirt.database.usage import METRICS
from invirt.host.network.rules import REASONS
from invirt.remote.usage import BARS, LINES, WHY, WIDTH, shown, sparkline


def used(*cpu: int, **dropped: int) -> dict[str, Any]:
    """An hour of which each minute took so many ms of CPU."""
    samples = [{"at": "then", **dict.fromkeys(METRICS, 0), "cpu": ms, "memory": 128} for ms in cpu]
    drops = [{"reason": reason, "packets": packets} for reason, packets in dropped.items()]
    return {
        "name": "remus",
        "of": "hour",
        "seconds": 60,
        "samples": samples,
        "since": "9:00",
        "dropped": drops,
    }


def test_cpu_is_shown_as_a_share_of_one() -> None:
    [line] = [line for line in shown(used(0, 60_000, 30_000)).splitlines() if line.startswith("CPU")]
    assert line.split()[-4:] == ["▁█▅", "50", "50", "100"]


def test_drops_are_told_in_words() -> None:
    said = shown(used(1, foreign_ip=12, of_a_later_version=3))
    assert "\nPackets of remus that were dropped since 9:00:\n" in said
    assert "        12  packets from another IPv4 address than its own; is a bridge" in said
    assert "         3  of_a_later_version\n" in said


def test_nothing_is_known_yet() -> None:
    assert shown(used()) == "Nothing is known of what remus used in the last hour.\n"


def test_all_that_is_counted_has_words() -> None:
    assert set(WHY) == set(REASONS) == set(usage.REASONS)
    assert set(LINES) == set(METRICS)


@given(st.lists(st.floats(0, 1e12), min_size=1, max_size=2000))
def test_a_sparkline_is_narrow_and_has_its_peak(values: list[float]) -> None:
    line = sparkline(values)
    assert 1 <= len(line) <= WIDTH and set(line) <= set(BARS)
    assert (BARS[-1] in line) == (max(values) > 0)
