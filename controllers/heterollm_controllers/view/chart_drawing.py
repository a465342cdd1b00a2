"""A chart as lines of an SVG: pure geometry. Colours are the page's style's business."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from heterollm_controllers.view.figures import Chart
from heterollm_controllers.view.wording import decimal

__all__ = ["HEIGHT", "WIDTH", "Drawing", "Line", "draw"]

WIDTH, HEIGHT = 360, 130
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 6, 8, 22
_TICKS = 4


@dataclass(frozen=True)
class Line:
    """One series: its stretches without gaps, each as points in SVG's form, and its last value as text.

    `number` stands for its colour: a tier has the same one in all charts.
    """

    number: int
    label: str
    last: str
    stretches: tuple[str, ...]


@dataclass(frozen=True)
class Drawing:
    """One chart; `ticks` and `times` are places and their labels; `summary` says it in words."""

    title: str
    summary: str
    lines: tuple[Line, ...]
    ticks: tuple[tuple[float, str], ...]
    times: tuple[tuple[float, str, str], ...]
    left: float = _LEFT
    right: float = WIDTH - _RIGHT
    bottom: float = HEIGHT - _BOTTOM


def draw(chart: Chart, tiers: Sequence[str] = ()) -> Drawing:
    """The places of everything. Gaps stay gaps. `tiers`: of the cluster, in their order."""
    known = [value for series in chart.series for value in series.values if value is not None]
    step = _nice(max(known, default=0.0) / _TICKS)
    most = step * max(1, math.ceil(max(known, default=0.0) / step))
    length = max((len(series.values) for series in chart.series), default=0)
    # What is no tier, such as a quantile, is numbered as it comes.
    names = list(tiers) + [series.label for series in chart.series if series.label not in tiers]
    first = 0 if any(series.label in tiers for series in chart.series) else len(tiers)
    lines = [
        Line(
            names.index(series.label) - first,
            series.label,
            _amount(series.values[-1], chart.unit),
            tuple(_stretches(series.values, most)),
        )
        for series in sorted(chart.series, key=lambda series: names.index(series.label))
    ]
    highest = _amount(max(known, default=None), chart.unit)
    said = "; ".join(f"{line.label} {line.last}" for line in lines)
    return Drawing(
        title=f"{chart.title}, {chart.unit}" if chart.unit else chart.title,
        summary=f"{chart.title} in the last hour; now: {said}; highest: {highest}",
        lines=tuple(lines),
        ticks=tuple((_down(step * n, most), _tick(step * n, step)) for n in range(round(most / step) + 1)),
        times=tuple(
            (_across(minute, length), f"{chart.start + timedelta(minutes=minute):%H:%M}", anchor)
            for minute, anchor in ((0, "start"), ((length - 1) // 2, "middle"), (length - 1, "end"))
        ),
    )


def _stretches(values: Sequence[float | None], most: float) -> list[str]:
    found: list[list[str]] = [[]]
    for minute, value in enumerate(values):
        if value is None:
            found.append([])
        else:
            found[-1].append(f"{_across(minute, len(values)):.1f},{_down(value, most):.1f}")
    # A single point would be no line.
    return [" ".join(points * 2 if len(points) == 1 else points) for points in found if points]


def _across(minute: int, length: int) -> float:
    return _LEFT + minute / max(1, length - 1) * (WIDTH - _LEFT - _RIGHT)


def _down(value: float, most: float) -> float:
    return round(HEIGHT - _BOTTOM - value / most * (HEIGHT - _BOTTOM - _TOP), 1)


def _nice(rough: float) -> float:
    """The next round number: 1, 2 or 5 times a power of ten."""
    if rough <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    return next((power * factor for factor in (1, 2, 5) if power * factor >= rough), power * 10)


def _tick(value: float, step: float) -> str:
    return f"{value:,.{max(0, -math.floor(math.log10(step)))}f}"


def _amount(value: float | None, unit: str) -> str:
    text = decimal(value, 2 if value is not None and value < 1 else 1)
    if value is None or not unit:
        return text
    if unit.startswith("$"):
        return f"${text}{unit[1:]}"
    return f"{text}{unit}" if unit.startswith("/") else f"{text} {unit}"
