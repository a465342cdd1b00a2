"""What is known of one tier: readings joined with the engines that exist. What is not known is None."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from heterollm_controllers.api.signals import ClusterSignal, PodSignal, Signal, TierSignal
from heterollm_controllers.metrics.readings import FRESH, History, Readings
from heterollm_controllers.observation.tier_state import TierState

__all__ = ["MeasuredTier", "TierMetrics", "missing_metrics", "tier_metrics"]


_NO_HISTORY = History()


@dataclass(frozen=True)
class TierMetrics:
    """Metrics of one tier. Sums are over the serving engines whose metrics are known.

    Attributes:
        known: engines that serve and have fresh metrics.
        unknown: engines that serve and have none, by name.
        queue: requests that wait in engines.
        kv_use: used share of the KV cache, on average over engines.
        first_token_ms: milliseconds to the first token, on average over requests.
        load: requests in each known engine, by the engine's name.
        rates: of requests per second, and other metrics from the routers.
        unanswered: signals whose query failed.
        history: of the last hour.
        window: seconds over which rates are taken.
    """

    known: int = 0
    unknown: tuple[str, ...] = ()
    queue: float | None = None
    kv_use: float | None = None
    first_token_ms: float | None = None
    load: Mapping[str, float] = field(default_factory=dict)
    rates: Mapping[TierSignal, float] | None = None
    history: History = _NO_HISTORY
    window: float = 60.0
    unanswered: frozenset[Signal] = frozenset()

    def rate(self, signal: TierSignal) -> float | None:
        """Requests per second. Where routers are seen, what they never counted did not happen."""
        return None if self.rates is None or signal in self.unanswered else self.rates.get(signal, 0.0)


class MeasuredTier(NamedTuple):
    """A tier as it is, and what is known of its traffic."""

    state: TierState
    metrics: TierMetrics


def tier_metrics(tier: TierState, readings: Readings | None, now: datetime) -> TierMetrics:
    """The metrics of a tier; those of engines that do not exist, or do not serve, never count."""
    if readings is None or not _is_fresh(readings, now):
        return TierMetrics(unknown=tuple(engine.name for engine in tier.serving))
    pods = {engine.name: _of_pod(engine.pod, readings) for engine in tier.serving}
    known = {name: found for name, found in pods.items() if found is not None}
    return TierMetrics(
        known=len(known),
        unknown=tuple(name for name, found in pods.items() if found is None),
        queue=_sum(known.values(), PodSignal.QUEUE),
        kv_use=_mean(known.values(), PodSignal.KV_USE),
        first_token_ms=_first_token_ms(known.values()),
        load={
            name: found[PodSignal.QUEUE] + found.get(PodSignal.RUNNING, 0.0)
            for name, found in known.items()
            if PodSignal.QUEUE in found and PodSignal.RUNNING not in readings.unanswered
        },
        rates=_rates(tier, readings, now),
        history=readings.history.get(tier.name, _NO_HISTORY),
        window=readings.window,
        unanswered=readings.unanswered,
    )


def missing_metrics(tiers: Sequence[MeasuredTier], readings: Readings | None, now: datetime) -> str:
    """What keeps the cluster from being steered by metrics, for people; empty when nothing does.

    An engine that has just begun to serve is given time to be scraped.
    """
    if readings is None:
        return "no Prometheus is configured or none was read yet; see --prometheus-url"
    if not _is_fresh(readings, now):
        return "the last figures are too old"
    if readings.failure and not (readings.pods or readings.tiers or readings.cluster):
        return readings.failure
    begun = now - timedelta(seconds=readings.window)
    young = {item.name for tier in tiers for item in tier.state.engines if (item.serving_since or begun) > begun}
    missing = [name for tier in tiers for name in tier.metrics.unknown if name not in young]
    parts = [readings.failure] if readings.failure else []
    if missing and PodSignal.AGE not in readings.unanswered:
        parts.append(f"no fresh metrics of {', '.join(missing)}")
    if not readings.cluster.get(ClusterSignal.ROUTERS) and ClusterSignal.ROUTERS not in readings.unanswered:
        parts.append("no metrics of the routers")
    return "; ".join(parts)


def _is_fresh(readings: Readings, now: datetime) -> bool:
    return abs(now - readings.at) <= FRESH


def _of_pod(pod: str, readings: Readings) -> Mapping[PodSignal, float] | None:
    """The metrics of an engine; None when there are none, or they are older than the window."""
    found = readings.pods.get(pod)
    if found is None or not found.get(PodSignal.AGE, math.inf) <= readings.window:
        return None
    return found if PodSignal.QUEUE in found or PodSignal.RUNNING in found else None


def _rates(tier: TierState, readings: Readings, now: datetime) -> Mapping[TierSignal, float] | None:
    """A router that has counted nothing yet has no series: that is zero, as long as routers are seen at all."""
    if not readings.cluster.get(ClusterSignal.ROUTERS):
        return None
    found = readings.tiers.get(tier.name, {})
    if not _has_just_begun(tier, readings.window, now):
        return found
    return {signal: rate for signal, rate in found.items() if signal not in _OF_ENGINES}


_OF_ENGINES = {TierSignal.TRIED, TierSignal.FAILED, TierSignal.SLOW}
"""What requests met at a tier. Of one that slept, they met nobody, and that says nothing of the engines it has now."""


def _has_just_begun(tier: TierState, window: float, now: datetime) -> bool:
    """Whether rates still tell of the time before the first engine served."""
    since = now - timedelta(seconds=window)
    return bool(tier.serving) and all((engine.serving_since or since) > since for engine in tier.serving)


def _sum(pods: Iterable[Mapping[PodSignal, float]], signal: PodSignal) -> float | None:
    values = [found[signal] for found in pods if signal in found]
    return sum(values) if values else None


def _mean(pods: Iterable[Mapping[PodSignal, float]], signal: PodSignal) -> float | None:
    values = [found[signal] for found in pods if signal in found]
    return sum(values) / len(values) if values else None


def _first_token_ms(pods: Iterable[Mapping[PodSignal, float]]) -> float | None:
    pods = list(pods)
    total, count = _sum(pods, PodSignal.FIRST_TOKEN_SUM), _sum(pods, PodSignal.FIRST_TOKEN_COUNT)
    return 1000 * total / count if total is not None and count else None
