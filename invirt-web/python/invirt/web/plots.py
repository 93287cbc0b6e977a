"""What a machine used, as curves: SVG that the page draws, without scripts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

WIDE, HIGH = 360, 80  # units of a plot
COLUMNS = 180  # at most: what a screen can show

Point = tuple[float, float]  # seconds since the plot's begin, and the value
# What one of a metric's unit, used in one second, is worth: 1 for what is not a rate.
CURVES: dict[str, tuple[str, tuple[tuple[str, str, float], ...]]] = {
    "CPU": ("% of one", (("cpu", "used", 0.1),)),
    "Memory": ("MiB", (("memory", "used", 0.0),)),
    "Disk": ("KiB/s", (("disk_read", "read", 1.0), ("disk_written", "written", 1.0))),
    "Network": ("KiB/s", (("net_received", "received", 1.0), ("net_sent", "sent", 1.0))),
}


@dataclass(frozen=True)
class Curve:
    """One line of a plot.  path: SVG's."""

    name: str
    path: str
    last: str


@dataclass(frozen=True)
class Plot:
    """The curves of what has one unit; top: the highest value, as people read it."""

    title: str
    unit: str
    top: str
    curves: tuple[Curve, ...]

    @property
    def told(self) -> str:
        """The same in words."""
        last = ", ".join(f"{curve.name} {curve.last}" for curve in self.curves)
        return f"{self.title}: {last} {self.unit} at the end, {self.top} at the most"


def plots(samples: Sequence[Any], since: float, length: float, step: int) -> list[Plot]:
    """Of samples (rows with at and METRICS), from since (seconds of the epoch) on for length seconds."""
    seen = [sample for sample in samples if 0 <= sample.at.timestamp() - since < length]
    return [_plot(title, seen, since, length, step) for title in CURVES] if seen else []


def _plot(title: str, samples: Sequence[Any], since: float, length: float, step: int) -> Plot:
    unit, lines = CURVES[title]
    wide = max(step, length / COLUMNS)
    values = {name: _value(metric, worth / step if worth else 1.0) for metric, name, worth in lines}
    series = {name: list(_columns(samples, since, wide, value)) for name, value in values.items()}
    top = max(value for points in series.values() for _, value in points) or 1.0
    curves = tuple(
        Curve(name, _path(series[name], length, top, 1.5 * wide), short(value(samples[-1])))
        for name, value in values.items()
    )
    return Plot(title, unit, short(top), curves)


def _value(metric: str, scale: float) -> Callable[[Any], float]:
    return lambda sample: float(getattr(sample, metric) or 0) * scale


def _columns(
    samples: Sequence[Any], since: float, wide: float, value: Callable[[Any], float]
) -> Iterator[Point]:
    """The most of what falls into each column."""
    most: dict[int, float] = {}
    for sample in samples:
        column = int((sample.at.timestamp() - since) // wide)
        most[column] = max(most.get(column, 0.0), value(sample))
    for column in sorted(most):
        yield (column + 0.5) * wide, most[column]


def _path(points: Sequence[Point], length: float, top: float, gap: float) -> str:
    """A line that is broken where nothing is known."""
    parts, before = [], None
    for at, value in points:
        pen = "L" if before is not None and at - before <= gap else "M"
        x, y = WIDE * min(max(at / length, 0.0), 1.0), HIGH * (1 - value / top)
        parts.append(f"{pen}{x:.1f} {y:.1f}" + ("h.1" if pen == "M" else ""))
        before = at
    return "".join(parts)


def short(value: float) -> str:
    """A number as people read it."""
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"
