"""Which threshold of the scorer the seen scores suggest: one near which nobody scores."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

__all__ = ["Stretch", "quiet_stretches", "share_at", "suggestion"]

_QUIET = 0.01
"""Of the requests, the most that a quiet stretch has in each of its buckets."""

Scores = Sequence[tuple[float, float]]
"""(score, requests that scored as much or less), rising."""


class Stretch(NamedTuple):
    """Scores above `low`, up to `high`."""

    low: float
    high: float


def share_at(scores: Scores, threshold: float) -> float | None:
    """Share of the scored requests that score up to it, as far as buckets tell; None if none was scored."""
    whole = scores[-1][1] if scores else 0.0
    if whole <= 0:
        return None
    below, above = (0.0, 0.0), scores[-1]
    for score in scores:
        if score[0] <= threshold:
            below = score
        else:
            above = score
            break
    width = above[0] - below[0]
    part = min(1.0, (threshold - below[0]) / width) if width > 0 else 0.0
    return (below[1] + (above[1] - below[1]) * part) / whole


def quiet_stretches(scores: Scores) -> list[Stretch]:
    """Neighbouring buckets in which hardly anybody scores, with somebody below and above."""
    whole = scores[-1][1] if scores else 0.0
    found: list[Stretch] = []
    for (low, before), (high, until) in pairwise([(0.0, 0.0), *scores]):
        if whole <= 0 or not _QUIET * whole < until < (1 - _QUIET) * whole or until - before > _QUIET * whole:
            continue
        if found and found[-1].high == low:
            found[-1] = Stretch(found[-1].low, high)
        else:
            found.append(Stretch(low, high))
    return found


def suggestion(scores: Scores, present: float) -> tuple[float, str]:
    """A threshold, and why."""
    stretches = quiet_stretches(scores)
    if not stretches:
        return present, "scores lie close together, and none stands out: judge by the quality of answers"
    low, high = min(stretches, key=lambda one: max(one.low - present, present - one.high, 0.0))
    if low <= present <= high:
        return (
            present,
            f"hardly anybody scores between {low:g} and {high:g}, so that it parts two kinds of requests well",
        )
    return round((low + high) / 2, 2), f"hardly anybody scores between {low:g} and {high:g}; near {present:g} many do"
