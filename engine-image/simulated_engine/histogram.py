"""A histogram that takes many equal observations at once.

A long answer has hundreds of equal gaps between tokens; recording them one by one would cost more than answering.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

__all__ = ["Histogram"]


class Histogram:
    """Counts per bucket with Prometheus' meaning of ``le``."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = sorted(set(bounds))
        self._counts = [0] * (len(self._bounds) + 1)
        self.total = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Record ``value`` the given number of times."""
        self._counts[bisect_left(self._bounds, value)] += times
        self.total += value * times

    def cumulative(self) -> list[tuple[str, float]]:
        """Upper bounds as text, with the number of observations not above each."""
        bounds = [*(str(float(bound)) for bound in self._bounds), "+Inf"]
        return list(zip(bounds, map(float, accumulate(self._counts)), strict=True))
