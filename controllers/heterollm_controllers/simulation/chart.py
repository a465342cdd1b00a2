"""Moments as a picture: an SVG timeline with a panel each for requests, queues, engines and the fallback."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from heterollm_controllers.simulation.run import TICK, Moment

__all__ = ["timeline"]

_WIDTH, _LEFT, _RIGHT = 960, 70, 170
_PANEL, _GAP, _TOP = 120, 34, 56
_POINTS = 480
"""Points of a line; of a longer run, each stands for several ticks and shows the highest of them."""
_COLOURS = ("#1f6fb4", "#d9700f", "#2f8f46", "#8250b0", "#8c564b", "#c2418f", "#5f6368", "#0a8a8a")
_REFUSED, _FAILED = "#c62828", "#6d1b1b"
_STATES = {"Normal": "#dfeee0", "Escalated": "#f7c873", "PureLarge": "#e57373"}


@dataclass(frozen=True)
class _Line:
    """One course of metrics: `points` in SVG's form."""

    label: str
    colour: str
    points: str
    dashed: bool = False


@dataclass(frozen=True)
class _Mark:
    """A tick of an axis, or a stretch of time."""

    at: float
    label: str
    width: float = 0.0
    colour: str = ""


@dataclass(frozen=True)
class _Panel:
    title: str
    top: float
    bottom: float
    lines: tuple[_Line, ...]
    marks: tuple[_Mark, ...]


@dataclass(frozen=True)
class _Series:
    label: str
    colour: str
    values: Sequence[float]
    dashed: bool = False


def timeline(moments: Sequence[Moment], names: Sequence[str], title: str, clock: str = "simulated") -> str:
    """The SVG document: moments a tick apart, of the tiers of these names; `clock` says what kind of time it shows."""
    groups = _grouped(moments)
    step = len(moments) / max(1, len(groups)) * TICK
    seconds = max(TICK, len(groups) * step)

    def across(index: float) -> float:
        return _LEFT + index / max(1, len(groups)) * (_WIDTH - _LEFT - _RIGHT)

    series = [
        ("requests per second", _requests(groups, names)),
        ("requests that wait in engines", _by_tier(groups, names, lambda moment: moment.queue)),
        ("engines (dashed: target)", _engines(groups, names)),
    ]
    panels = [_panel(text, lines, number, across) for number, (text, lines) in enumerate(series)]
    bottom = panels[-1].bottom + _GAP
    return _template().render(
        title=title,
        clock=clock,
        width=_WIDTH,
        height=bottom + 74,
        left=_LEFT,
        right=_WIDTH - _RIGHT,
        panels=panels,
        band=bottom,
        states=_stretches([_worst(group) for group in groups], across),
        known_states=_STATES,
        hours=_hours(seconds, lambda second: across(second / step)),
    )


@cache
def _template() -> Template:
    folder = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("chart.svg.j2")


def _grouped(moments: Sequence[Moment]) -> list[Sequence[Moment]]:
    size = max(1, math.ceil(len(moments) / _POINTS))
    return [moments[start : start + size] for start in range(0, len(moments), size)]


def _requests(groups: Sequence[Sequence[Moment]], names: Sequence[str]) -> list[_Series]:
    return [
        *_by_tier(groups, names, lambda moment: moment.offered),
        _Series("refused (429)", _REFUSED, [_mean([sum(one.refused) for one in group]) for group in groups]),
        _Series("failed", _FAILED, [_mean([sum(one.failed) for one in group]) for group in groups]),
    ]


def _by_tier(
    groups: Sequence[Sequence[Moment]], names: Sequence[str], metrics: Callable[[Moment], Sequence[float]]
) -> list[_Series]:
    return [
        _Series(name, _COLOURS[index], [max(metrics(moment)[index] for moment in group) for group in groups])
        for index, name in enumerate(names)
    ]


def _engines(groups: Sequence[Sequence[Moment]], names: Sequence[str]) -> list[_Series]:
    serving = _by_tier(groups, names, lambda moment: moment.serving)
    target = _by_tier(groups, names, lambda moment: moment.target)
    return serving + [_Series("", line.colour, line.values, dashed=True) for line in target]


def _panel(title: str, series: Sequence[_Series], number: int, across: Callable[[float], float]) -> _Panel:
    top = _TOP + number * (_PANEL + _GAP)
    bottom = top + _PANEL
    highest = max((value for one in series for value in one.values), default=0.0)
    step = _nice(highest / 4)
    most = step * max(1, math.ceil(highest / step))

    def down(value: float) -> float:
        return bottom - value / most * _PANEL

    lines = [
        _Line(
            one.label,
            one.colour,
            " ".join(f"{across(index):.1f},{down(value):.1f}" for index, value in enumerate(one.values)),
            one.dashed,
        )
        for one in series
    ]
    marks = [_Mark(down(step * index), f"{step * index:,.0f}") for index in range(round(most / step) + 1)]
    return _Panel(title, top, bottom, tuple(lines), tuple(marks))


def _worst(group: Sequence[Moment]) -> str:
    order = list(_STATES)
    return max((moment.state for moment in group), key=order.index)


def _stretches(states: Sequence[str], across: Callable[[float], float]) -> list[_Mark]:
    """Equal neighbours as one."""
    found: list[_Mark] = []
    start = 0
    for index in range(1, len(states) + 1):
        if index == len(states) or states[index] != states[start]:
            left = across(start)
            found.append(_Mark(left, states[start], across(index) - left, _STATES[states[start]]))
            start = index
    return found


def _hours(seconds: float, across: Callable[[float], float]) -> list[_Mark]:
    """Round times along the axis."""
    step = next((one for one in (60, 300, 600, 900, 1800, 3600, 7200, 14_400) if seconds / one <= 12), 86_400)
    times = range(0, int(seconds) + 1, step)
    return [_Mark(across(time), f"{time // 3600}:{time % 3600 // 60:02d}") for time in times]


def _nice(rough: float) -> float:
    """The next round number: 1, 2 or 5 times a power of ten, and at least 1."""
    if rough <= 1:
        return 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
