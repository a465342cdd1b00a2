"""Requests over time: how many per second, and which share is meant for the last tier."""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Bursts", "Load", "Ramp", "Recorded", "Spike", "Steady", "Traffic", "Wave", "poisson"]

_DAY = 86_400.0
_MANY = 60.0
"""Mean above which a Poisson number is drawn from the normal distribution: it differs by less than a request."""


@dataclass(frozen=True)
class Load:
    """What arrives in one second.

    Attributes:
        rate: requests per second, on average.
        large_share: share of them, 0 to 1, that is meant for the last tier.
    """

    rate: float
    large_share: float


class Traffic(Protocol):
    """Some course of load."""

    def at(self, second: float) -> Load:
        """The load that many seconds after the start."""
        ...


@dataclass(frozen=True)
class Steady:
    """The same rate all the time."""

    load: Load

    def at(self, second: float) -> Load:
        return self.load


@dataclass(frozen=True)
class Wave:
    """A day: the least at its start and end, the peak in the middle.

    Attributes:
        load: of the mean.
        depth: how much peak and trough differ from the mean, as a share of it, 0 to 1.
        period: seconds of one wave.
    """

    load: Load
    depth: float = 0.8
    period: float = _DAY

    def at(self, second: float) -> Load:
        swing = 1 - self.depth * math.cos(2 * math.pi * second / self.period)
        return Load(self.load.rate * swing, self.load.large_share)


@dataclass(frozen=True)
class Spike:
    """A steady rate that is many times as high for a while.

    Attributes:
        start: second at which it begins; `seconds`: how long it lasts.
    """

    load: Load
    factor: float = 4.0
    start: float = 1_800.0
    seconds: float = 1_800.0

    def at(self, second: float) -> Load:
        high = self.start <= second < self.start + self.seconds
        return Load(self.load.rate * (self.factor if high else 1.0), self.load.large_share)


@dataclass(frozen=True)
class Bursts:
    """Short spikes at regular intervals, the first after one interval.

    Attributes:
        every: seconds from one to the next; `seconds`: how long each lasts.
    """

    load: Load
    factor: float = 4.0
    every: float = 900.0
    seconds: float = 90.0

    def at(self, second: float) -> Load:
        high = second >= self.every and second % self.every < self.seconds
        return Load(self.load.rate * (self.factor if high else 1.0), self.load.large_share)


@dataclass(frozen=True)
class Ramp:
    """A rate that grows evenly, to `factor` times the first within `seconds`, and stays there."""

    load: Load
    factor: float = 4.0
    seconds: float = 3_600.0

    def at(self, second: float) -> Load:
        share = min(1.0, second / self.seconds)
        return Load(self.load.rate * (1 + (self.factor - 1) * share), self.load.large_share)


class Recorded:
    """A recording: each load holds from its second to the next one's; the last for good, nothing before the first."""

    def __init__(self, loads: Sequence[tuple[float, Load]]) -> None:
        """`loads`: seconds from the start, ascending, with the load from then on."""
        self._seconds = [second for second, _ in loads]
        self._loads = [load for _, load in loads]

    def at(self, second: float) -> Load:
        index = bisect_right(self._seconds, second)
        return self._loads[index - 1] if index else Load(0.0, 0.0)


def poisson(source: random.Random, mean: float) -> int:
    """A number drawn from the Poisson distribution."""
    if mean <= 0:
        return 0
    if mean > _MANY:
        return max(0, round(source.gauss(mean, math.sqrt(mean))))
    limit, number, product = math.exp(-mean), 0, source.random()
    while product > limit:
        number += 1
        product *= source.random()
    return number
