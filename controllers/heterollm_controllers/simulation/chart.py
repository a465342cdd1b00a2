"""Courses over time as a picture: an SVG timeline with a panel for each kind of figure, and a band of states."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from heterollm_controllers.simulation.run import TICK, Moment

__all__ = ["COLOURS", "FAILED", "Series", "drawn", "timeline"]

_WIDTH, _LEFT, _RIGHT = 960, 70, 170
_PANEL, _GAP, _TOP, _BAND = 120, 34, 56, 22
_POINTS = 480
"""Points of a line; of a longer run, each stands for several ticks and shows the highest of them."""
COLOURS = ("#1f6fb4", "#d9700f", "#2f8f46", "#8250b0", "#8c564b", "#c2418f", "#5f6368", "#0a8a8a")
_REFUSED, FAILED = "#c62828", "#6d1b1b"
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
class Series:
    """One line of a panel. `values` are equally far apart; where one is NaN, nobody knows."""

    label: str
    colour: str
    values: Sequence[float]
    dashed: bool = False


def timeline(moments: Sequence[Moment], names: Sequence[str], title: str, clock: str = "simulated") -> str:
    """The SVG document: moments a tick apart, of the tiers of these names; `clock` says what kind of time it shows."""
    groups = _grouped(moments)
    step = len(moments) / max(1, len(groups)) * TICK
    panels = [
        ("requests per second", _requests(groups, names)),
        ("requests that wait in engines", _by_tier(groups, names, lambda moment: moment.queue)),
        ("engines (dashed: target)", _engines(groups, names)),
    ]
    return drawn(title, clock, panels, max(1, len(groups)), step, states=[_worst(group) for group in groups])


def drawn(
    title: str,
    clock: str,
    panels: Sequence[tuple[str, Sequence[Series]]],
    points: int,
    step: float,
    *,
    states: Sequence[str] = (),
    events: Sequence[tuple[float, str]] = (),
) -> str:
    """The SVG document.

    Args:
        clock: what kind of time it shows.
        panels: title and lines of each, one below the other.
        points: of each line.
        step: seconds between two of them.
        states: the fallback at each; none: no band.
        events: what happened how many seconds after the first, shown as a line across all panels.
    """
    seconds = max(TICK, points * step)

    def across(index: float) -> float:
        return _LEFT + index / points * (_WIDTH - _LEFT - _RIGHT)

    shown = [_panel(text, lines, number, across) for number, (text, lines) in enumerate(panels)]
    bottom = shown[-1].bottom + _GAP if states else shown[-1].bottom - _BAND
    return _template().render(
        title=title,
        clock=clock,
        width=_WIDTH,
        height=bottom + 74,
        left=_LEFT,
        right=_WIDTH - _RIGHT,
        panels=shown,
        band=bottom,
        band_height=_BAND,
        states=_stretches(states, across) if states else (),
        known_states=_STATES,
        events=[_Mark(across(second / step), text) for second, text in events],
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


def _requests(groups: Sequence[Sequence[Moment]], names: Sequence[str]) -> list[Series]:
    return [
        *_by_tier(groups, names, lambda moment: moment.offered),
        Series("refused (429)", _REFUSED, [_mean([sum(one.refused) for one in group]) for group in groups]),
        Series("failed", FAILED, [_mean([sum(one.failed) for one in group]) for group in groups]),
    ]


def _by_tier(
    groups: Sequence[Sequence[Moment]], names: Sequence[str], metrics: Callable[[Moment], Sequence[float]]
) -> list[Series]:
    return [
        Series(name, COLOURS[index], [max(metrics(moment)[index] for moment in group) for group in groups])
        for index, name in enumerate(names)
    ]


def _engines(groups: Sequence[Sequence[Moment]], names: Sequence[str]) -> list[Series]:
    serving = _by_tier(groups, names, lambda moment: moment.serving)
    target = _by_tier(groups, names, lambda moment: moment.target)
    return serving + [Series("", line.colour, line.values, dashed=True) for line in target]


def _panel(title: str, series: Sequence[Series], number: int, across: Callable[[float], float]) -> _Panel:
    top = _TOP + number * (_PANEL + _GAP)
    bottom = top + _PANEL
    highest = max((value for one in series for value in one.values if not math.isnan(value)), default=0.0)
    step = _nice(highest / 4) if 0 < highest < 1 else max(1.0, _nice(highest / 4))
    most = step * max(1, math.ceil(highest / step))

    def down(value: float) -> float:
        return bottom - value / most * _PANEL

    lines = [
        _Line(
            one.label,
            one.colour,
            " ".join(
                f"{across(index):.1f},{down(value):.1f}"
                for index, value in enumerate(one.values)
                if not math.isnan(value)
            ),
            one.dashed,
        )
        for one in series
    ]
    marks = [_Mark(down(step * index), _tick(step * index)) for index in range(round(most / step) + 1)]
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


def _tick(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:g}"


def _nice(rough: float) -> float:
    """The next round number: 1, 2 or 5 times a power of ten."""
    if rough <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
