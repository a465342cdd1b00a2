"""How fast one engine is, by how much it has to do.

A lone request takes `lone_seconds`, one in a full engine `full_seconds`, and between them the time grows evenly with
the number of requests that run. So an engine with n of them answers n / S(n) requests per second, which levels off at
its full rate, as decoding does that is bound by memory. Requests beyond its concurrency wait, in order.

The first token comes after a median time with lognormal scatter, after what the request waits for others' prompts: as
in an M/D/1 queue that starts requests at the engine's full rate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from heterollm_controllers.api.v1alpha1.sizing import Sizing
from heterollm_controllers.api.v1alpha1.tier import Tier
from heterollm_controllers.cost.prices import engine_dollars_per_hour
from heterollm_controllers.sizing import gpu_of

__all__ = ["LARGE", "SMALL", "EngineModel", "Reference", "engine_model", "within"]

_Z99 = 2.3263478740408408
"""99th percentile of the standard normal distribution."""
_NEARLY_ALL = 8.0
"""Times the median within which all first tokens come, for any scatter that engines have."""
_BUSIEST = 0.98
"""Utilisation up to which the waiting time of the M/D/1 queue is believed; beyond, the queue itself is counted."""


@dataclass(frozen=True)
class Reference:
    """Speed of a reference engine, for what a tier leaves open.

    The time to the first token and the rate are R9's. Its latencies cannot be those of whole answers (18 requests per
    second at 95 ms would be 1.7 at once); tokens, time per token and concurrency are not in it, and plausible round
    metrics, which the simulated engine has too.
    """

    first_token: float
    """Median seconds to the first token."""
    first_token_p99: float
    rate: float
    """Requests per second of a full engine."""
    per_token: float
    """Seconds."""
    concurrency: int
    gpus: int
    tokens: int = 128
    """Output tokens of a request."""
    cold_start: float = 60.0
    """Seconds from an engine's creation until it serves; not in R9."""

    @property
    def scatter(self) -> float:
        """Of the time to the first token: standard deviation of its logarithm."""
        return math.log(self.first_token_p99 / self.first_token) / _Z99


SMALL = Reference(0.025, 0.045, 180.0, 0.008, 256, gpus=2)
LARGE = Reference(0.095, 0.150, 18.0, 0.025, 128, gpus=32, cold_start=300.0)


@dataclass(frozen=True)
class EngineModel:
    """Speed and price of the engines of one tier.

    Attributes:
        lone_seconds: of a whole answer of an idle engine.
        rate: requests per second of a full engine.
        concurrency: requests it runs at once.
        first_token: median seconds to the first token of a lone request.
        scatter: standard deviation of the logarithm of that time.
        gpus: of one engine.
        dollars_per_hour: of one engine; None when no price is known.
        cold_start: seconds from creation to service, once it has its nodes.
        source: where the metrics come from, for people.
        told: whether the operator knows concurrency and rate.
    """

    lone_seconds: float
    rate: float
    concurrency: int
    first_token: float
    scatter: float
    gpus: int
    dollars_per_hour: float | None
    cold_start: float
    source: str
    told: bool = True

    @cached_property
    def full_seconds(self) -> float:
        """Of a whole answer of a full engine."""
        return self.concurrency / self.rate

    @cached_property
    def first_token_mean(self) -> float:
        """Mean seconds to the first token of a lone request."""
        return self.first_token * math.exp(self.scatter**2 / 2)

    @cached_property
    def growth(self) -> float:
        """Seconds that each further request adds to the time of all."""
        return max(0.0, self.full_seconds - self.lone_seconds) / self.concurrency

    def finished(self, present: float, slower: float, seconds: float = 1.0) -> float:
        """Requests that an engine finishes within a step of time.

        Args:
            present: requests at the step's beginning, and those that come in it.
            slower: factor on all its times.
            seconds: length of the step.
        """
        # Implicit Euler, so that it holds for answers shorter than a step too: left + seconds left / S(left) = present.
        lone, growth = self.lone_seconds * slower, self.growth * slower
        if growth > 0:
            linear = lone + seconds - present * growth
            left = (math.sqrt(linear * linear + 4 * growth * present * lone) - linear) / (2 * growth)
        else:
            left = present * lone / (lone + seconds)
        return self.rate / slower * seconds if left > self.concurrency else max(0.0, present - left)

    def waiting(self, in_flight: float, slower: float) -> float:
        """Seconds in the queue of an engine that has so many requests."""
        return max(0.0, in_flight - self.concurrency) / self.rate * slower

    def first_token_delay(self, in_flight: float, finished: float, slower: float) -> float:
        """Seconds that a request waits before the work on its own prompt begins.

        Args:
            finished: requests per second that the engine finishes at the moment.
        """
        use = finished / self.rate * slower
        if use > _BUSIEST:
            use = _BUSIEST
        delay = use / (2 * (1 - use)) / self.rate * slower
        return delay + self.waiting(in_flight, slower) if in_flight > self.concurrency else delay


def within(limit: float, delay: float, median: float, scatter: float) -> float:
    """Share of requests, 0 to 1, whose first token comes within `limit` seconds if all wait `delay` before."""
    if delay >= limit:
        return 0.0
    if limit - delay > _NEARLY_ALL * median:
        return 1.0
    if scatter <= 0:
        return 1.0 if delay + median <= limit else 0.0
    return 0.5 * math.erfc(-math.log((limit - delay) / median) / scatter / math.sqrt(2))


def engine_model(
    tier: Tier, sizing: Sizing, *, last: bool, cold_start: float | None = None, reference_speed: bool = False
) -> EngineModel:
    """The model of a tier's engines: what was measured or estimated of them, or else the reference's.

    Args:
        reference_speed: take the reference's speed in any case, as if it had been measured.
        last: the tier is the last one, whose reference is the large engine; the others' is the small one.
        cold_start: seconds; the reference's if None.
    """
    reference = LARGE if last else SMALL
    starts = reference.cold_start if cold_start is None else cold_start
    price = engine_dollars_per_hour(sizing.gpus_per_engine, gpu_of(tier.accelerator).dollars_per_hour)
    speed = sizing.performance
    if speed is None or reference_speed:
        return EngineModel(
            lone_seconds=reference.first_token + reference.per_token * (reference.tokens - 1),
            rate=reference.rate,
            concurrency=reference.concurrency,
            first_token=reference.first_token,
            scatter=reference.scatter,
            gpus=sizing.gpus_per_engine,
            dollars_per_hour=price,
            cold_start=starts,
            source="R9",
            told=reference_speed,
        )
    first = speed.time_to_first_token_ms / 1000
    lone = first + speed.time_per_token_ms / 1000 * (speed.output_tokens - 1)
    rate = speed.requests_per_second
    return EngineModel(
        lone_seconds=lone,
        rate=rate,
        # Fewer could not reach the rate even if none slowed another down.
        concurrency=max(speed.concurrent_requests, math.ceil(rate * lone)),
        first_token=first,
        scatter=reference.scatter,
        gpus=sizing.gpus_per_engine,
        dollars_per_hour=price,
        cold_start=starts,
        source=speed.source,
    )
