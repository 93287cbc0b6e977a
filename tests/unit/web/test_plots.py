"""Curves of what a machine used."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

from invirt.database.usage import METRICS
from invirt.web.plots import HIGH, WIDE, plots


def sample(at: float, **used: int) -> SimpleNamespace:
    return SimpleNamespace(at=datetime.fromtimestamp(at, UTC), **{**dict.fromkeys(METRICS, 0), **used})


def test_a_line_is_broken_where_nothing_is_known() -> None:
    samples = [sample(60 * minute, cpu=6000 * minute) for minute in (0, 1, 2, 30, 31)]
    cpu, memory, disk, network = plots(samples, 0.0, 3600.0, 60)
    (curve,) = cpu.curves
    assert curve.path.count("M") == 2 and curve.path.count("L") == 3
    assert cpu.top == "310" and curve.last == "310"
    assert memory.top == "1" and [one.name for one in network.curves] == ["received", "sent"]
    assert "read 0" in disk.told
    last = [float(number) for number in curve.path.rpartition("L")[2].split()]
    assert last == [round(WIDE * 31.5 / 60, 1), 0.0] and curve.path.startswith(f"M3.0 {HIGH:.1f}")


def test_nothing_is_drawn_of_nothing() -> None:
    assert plots([], 0.0, 3600.0, 60) == []
    assert plots([sample(-60, cpu=1), sample(3600, cpu=1)], 0.0, 3600.0, 60) == []


def test_a_year_is_no_more_than_a_screen() -> None:
    samples = [sample(60 * minute, memory=64) for minute in range(1440)]
    for plot in plots(samples, 0.0, 86400.0, 60):
        for curve in plot.curves:
            assert curve.path.count("L") < 200
