"""How much a tier will need when an engine started now is ready: the last hour, carried on.

Holt's linear smoothing with a damped trend (Gardner and McKenzie 1985) where there are ten minutes of history, and the
median of all slopes (Theil 1950, Sen 1968) where there are five: both hold on to a trend without following each jump.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from statistics import median

__all__ = ["Forecast", "forecast"]

SMOOTHING = 0.5
TREND_SMOOTHING = 0.2
DAMPING = 0.9
"""Share of the trend that is left after each further minute."""
LONG, SHORT = 10, 5
"""Minutes of history for the one method, and for the other."""
MOST_GROWTH = 2.0
"""A forecast never exceeds the highest figure of the hour by more than this: trends of a few minutes are no law."""


@dataclass(frozen=True)
class Forecast:
    """A figure some minutes from now, and by what share of the metrics such forecasts missed in the last hour."""

    value: float
    error: float | None


@lru_cache(maxsize=8192)
def forecast(history: tuple[float, ...], minutes: int) -> Forecast | None:
    """The figure so many minutes after the last one; None when there are too few.

    Args:
        history: one figure per minute, oldest first; NaN where there was none.
    """
    known = [value for value in _since_last_gap(history) if not math.isnan(value)]
    if len(known) < SHORT:
        return None
    if len(known) < LONG:
        ahead, error = _median_slope(known, minutes), None
    else:
        ahead, error = _damped_holt(known, minutes)
    return Forecast(min(max(ahead, 0.0), MOST_GROWTH * max(known)), error)


def _since_last_gap(history: Sequence[float]) -> Sequence[float]:
    """What follows the last five minutes without metrics: before them the world was another one."""
    for start in range(len(history) - 5, -1, -1):
        if all(math.isnan(value) for value in history[start : start + 5]):
            return history[start + 5 :]
    return history


def _median_slope(values: Sequence[float], minutes: int) -> float:
    slopes = [(later - earlier) / (j - i) for (i, earlier), (j, later) in combinations(enumerate(values), 2)]
    slope = median(slopes)
    level = median(value + slope * (len(values) - 1 - i) for i, value in enumerate(values))
    return level + slope * minutes


def _damped_holt(values: Sequence[float], minutes: int) -> tuple[float, float | None]:
    """The forecast, and the mean miss of earlier ones as a share of the mean figure."""
    damped = sum(DAMPING**step for step in range(1, minutes + 1))
    level, trend = values[0], 0.0
    made: list[float] = []
    for value in values:
        before = level
        level = SMOOTHING * value + (1 - SMOOTHING) * (level + DAMPING * trend)
        trend = TREND_SMOOTHING * (level - before) + (1 - TREND_SMOOTHING) * DAMPING * trend
        made.append(level + damped * trend)
    missed = [abs(guess - value) for guess, value in zip(made, values[minutes:], strict=False)]
    mean = sum(values[minutes:]) / len(missed) if missed else 0.0
    return made[-1], sum(missed) / len(missed) / mean if mean else None
