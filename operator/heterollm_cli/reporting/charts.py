"""The figures of a period over time, as one picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from heterollm_cli.reporting.figures import Lines
from heterollm_cli.reporting.steps import is_of_migration
from heterollm_controllers.api.v1alpha1.status import Decision
from heterollm_controllers.simulation.chart import COLOURS, Series, drawn

__all__ = ["picture"]

_PANELS = {
    "answers": "answers per second, by the tier that gave them",
    "share": "share of their requests that tiers get, %",
    "failed": "failed, % of the requests for tiers that migrate",
    "first_byte_p99": "99 % of first bytes within, ms",
    "dollars": "dollars per hour",
}
_SIDES = {"false": "tier itself", "true": "last, in its place"}


def picture(
    over_time: Mapping[str, Lines],
    names: Sequence[str],
    times: Sequence[float],
    decisions: Sequence[Decision],
    title: str,
) -> str:
    """The SVG document, or nothing where nothing is known.

    Args:
        over_time: by their names in `queries`.
        times: of their points, seconds since 1970, equally far apart.
        decisions: shown as dashed lines, if they are about the migration.
    """
    begin = _begin(over_time, len(times))
    times = times[begin:]
    panels = [
        (text, _lines(name, over_time[name], names, begin)) for name, text in _PANELS.items() if name in over_time
    ]
    panels = [(text, lines) for text, lines in panels if lines]
    if not panels or len(times) < 2:
        return ""
    events = [
        (item.time.timestamp() - times[0], f"{item.action}: {item.message}")
        for item in decisions
        if is_of_migration(item) and times[0] <= item.time.timestamp() <= times[-1]
    ]
    clock = "since the beginning (dashed: decisions)"
    return drawn(title, clock, panels, len(times), times[1] - times[0], events=events)


def _begin(over_time: Mapping[str, Lines], count: int) -> int:
    """The first point of which anything is known; without one, the first of all."""
    lines = [line for found in over_time.values() for line in found.lines.values()]
    return next((number for number in range(count) if any(not math.isnan(line[number]) for line in lines)), 0)


def _lines(kind: str, found: Lines, names: Sequence[str], begin: int) -> list[Series]:
    # The last tier has all of its requests at any time.
    known = {"failed": [*_SIDES], "share": [*names[:-1]]}.get(kind, [*names])
    return [
        Series(_SIDES.get(name, name), COLOURS[number % len(COLOURS)], found.lines[name][begin:])
        for number, name in enumerate(known)
        if name in found.lines
    ]
