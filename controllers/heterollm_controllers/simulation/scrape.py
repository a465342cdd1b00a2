"""What the operator would know of a cluster: counters scraped now and then, rates, ages, and what is missing."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from heterollm_controllers.api.signals import ClusterSignal, PodSignal, TierSignal
from heterollm_controllers.metrics.readings import History, Readings
from heterollm_controllers.simulation.cluster import Cluster
from heterollm_controllers.simulation.engines import Group
from heterollm_controllers.simulation.faults import FaultKind

__all__ = ["Prometheus"]

_HISTORY_KEPT = 180.0
"""Seconds for which the poller hands out history that it cannot renew."""
_LOOKBACK = 300.0
"""Seconds after its last scrape for which Prometheus still gives a figure."""
_MINUTES = 60
"""Minutes of history that are asked for."""
_COUNTERS = (
    TierSignal.OFFERED,
    TierSignal.TRIED,
    TierSignal.FAILED,
    TierSignal.REFUSED,
    TierSignal.SPILLED,
    TierSignal.RETRIES,
    TierSignal.DIVERTED,
    TierSignal.DIVERTED_FAILED,
    TierSignal.ANSWERED,
    TierSignal.SLOW,
)
_Scrape = tuple[float, tuple[tuple[float, ...], ...], float]
"""Second, each tier's counters in the order of _COUNTERS, undecided requests."""


@dataclass
class _Minute:
    """Of one tier, the minute that is not over yet: peaks, and the first scrape of its rate."""

    concurrency: float = math.nan
    kv_use: float = math.nan
    first: tuple[float, float] | None = None
    """Second, requests that were answered or refused by then."""


@dataclass
class _Past:
    """Of one tier, the last hour."""

    rate: deque[float] = field(default_factory=lambda: deque(maxlen=_MINUTES))
    concurrency: deque[float] = field(default_factory=lambda: deque(maxlen=_MINUTES))
    kv_use: deque[float] = field(default_factory=lambda: deque(maxlen=_MINUTES))
    minute: _Minute = field(default_factory=_Minute)


class Prometheus:
    """Scrapes a cluster, and answers the poller. `watch` is due at every scrape, `read` at every tick."""

    def __init__(self, cluster: Cluster, start: datetime, scrape_seconds: float = 15.0) -> None:
        self.scrape_seconds = scrape_seconds
        self._cluster = cluster
        self._start = start
        self._window = Readings(start, scrape_seconds).window
        self._scrapes: deque[_Scrape] = deque()
        self._scraped = -math.inf
        self._pods: list[tuple[tuple[str, ...], dict[PodSignal, float]]] = []
        self._tiers: dict[str, dict[TierSignal, float]] = {}
        self._undecided: float | None = None
        self._ejected: tuple[float, ...] = ()
        self._past = [_Past() for _ in cluster.names]
        self._history: dict[str, History] = {}
        self._given: Mapping[str, History] = {}
        self._renewed = -math.inf

    # Scraping

    def scrape(self, second: float) -> None:
        """Ask all pods for their metrics."""
        cluster = self._cluster
        counters = tuple(self._counters(index) for index in range(len(cluster.names)))
        self._scrapes.append((second, counters, cluster.undecided))
        self._scraped = second
        self._pods = []
        self._ejected = tuple(float(round(one.ejected * one.engines)) for one in cluster.routers.states)
        for index, fleet in enumerate(cluster.fleets):
            concurrency = fleet.model.concurrency
            for group in [*fleet.groups, *(group for group, _ in fleet.leaving)]:
                self._pods.append((tuple(group.pods), self._metrics(group, concurrency, second)))
            if fleet.idle:
                still = {PodSignal.QUEUE: 0.0, PodSignal.RUNNING: 0.0, PodSignal.KV_USE: 0.0}
                self._pods.append((tuple(f"{name}-0" for name in fleet.idle), still))
            self._note(index, fleet.in_flight, second, counters[index])

    def _counters(self, tier: int) -> tuple[float, ...]:
        count, answers = self._cluster.routers.counts[tier], self._cluster.answers[tier]
        return (
            count.offered,
            count.tried,
            count.failed,
            count.refused,
            count.spilled,
            count.retries,
            count.diverted,
            count.diverted_failed,
            answers.answered,
            answers.slow,
        )

    def _metrics(self, group: Group, concurrency: int, second: float) -> dict[PodSignal, float]:
        """Of each engine of a group; rates only of engines that were scraped twice within the window."""
        running = min(group.in_flight, concurrency)
        metrics = {
            PodSignal.QUEUE: max(0.0, group.in_flight - concurrency),
            PodSignal.RUNNING: running,
            PodSignal.KV_USE: running / concurrency,
        }
        scraped = group.scraped
        scraped.append((second, group.counters.seconds, group.counters.count))
        while scraped[0][0] < second - self._window:
            scraped.pop(0)
        if len(scraped) > 1:
            since, seconds, count = scraped[0]
            metrics[PodSignal.FIRST_TOKEN_SUM] = (group.counters.seconds - seconds) / (second - since)
            metrics[PodSignal.FIRST_TOKEN_COUNT] = (group.counters.count - count) / (second - since)
        return metrics

    def _note(self, tier: int, in_flight: float, second: float, counters: tuple[float, ...]) -> None:
        """Peaks of the minute."""
        minute = self._past[tier].minute
        fleet = self._cluster.fleets[tier]
        fullest = max((group.in_flight for group in fleet.groups), default=0.0)
        if fleet.groups or fleet.leaving or fleet.idle:
            # Without engines there is nobody to tell.
            minute.concurrency = _larger(minute.concurrency, in_flight)
            minute.kv_use = _larger(minute.kv_use, min(1.0, fullest / fleet.model.concurrency))
        if minute.first is None:
            minute.first = second, _handled(counters)

    def end_minute(self) -> None:
        """Another minute is over: what the hourly range query gives from now on."""
        for index, past in enumerate(self._past):
            minute = past.minute
            last = (self._scrapes[-1][0], _handled(self._scrapes[-1][1][index])) if self._scrapes else None
            past.rate.append(_rate(minute.first, last))
            past.concurrency.append(minute.concurrency)
            past.kv_use.append(minute.kv_use)
            past.minute = _Minute(first=last if minute.first is not None else None)
            self._history[self._cluster.names[index]] = History(
                tuple(past.rate), tuple(past.concurrency), tuple(past.kv_use)
            )

    # Answering

    def read(self, second: float, faults: Collection[FaultKind]) -> Readings:
        """What the poller has after this tick."""
        now = self._start + timedelta(seconds=second)
        kept = self._given if second - self._renewed <= _HISTORY_KEPT else {}
        if FaultKind.PROMETHEUS_DOWN in faults:
            return Readings(now, self.scrape_seconds, history=kept, failure="connection refused")
        if FaultKind.PROMETHEUS_GARBAGE in faults:
            return Readings(now, self.scrape_seconds, history=kept, failure="the answer is no JSON")
        if FaultKind.PROMETHEUS_SLOW in faults:
            return Readings(now, self.scrape_seconds, history=kept, failure="no answer within 4 s")
        if FaultKind.PROMETHEUS_EMPTY in faults:
            return Readings(now, self.scrape_seconds)
        if FaultKind.PROMETHEUS_NAN in faults:
            return Readings(now, self.scrape_seconds, history=self._nothing())
        found = self._figured(second, now, FaultKind.POLICY in faults)
        self._renewed, self._given = second, found.history
        return found

    def _nothing(self) -> Mapping[str, History]:
        none = (math.nan,) * _MINUTES
        return {name: History(none, none, none) for name in self._cluster.names}

    def _figured(self, second: float, now: datetime, refused: bool) -> Readings:
        age = second - self._scraped
        if age > _LOOKBACK:
            return Readings(now, self.scrape_seconds, history=dict(self._history))
        pods: dict[str, Mapping[PodSignal, float]] = {}
        for names, metrics in self._pods:
            aged = {**metrics, PodSignal.AGE: age}
            for name in names:
                pods[name] = aged
        self._rates(second)
        cluster: dict[ClusterSignal, float] = {}
        if age <= self._window:
            cluster[ClusterSignal.ROUTERS] = float(self._cluster.spec.routing.replicas)
            cluster[ClusterSignal.POLICY_REFUSED] = 1.0 if refused else 0.0
        if self._undecided is not None:
            cluster[ClusterSignal.UNDECIDED] = self._undecided
        return Readings(now, self.scrape_seconds, pods, dict(self._tiers), cluster, dict(self._history))

    def _rates(self, second: float) -> None:
        """Per second, over the scrapes of the window; nothing with fewer than two of them."""
        scrapes = self._scrapes
        while scrapes and scrapes[0][0] < second - self._window:
            scrapes.popleft()
        if len(scrapes) < 2:
            self._tiers, self._undecided = {}, None
            return
        first, last = scrapes[0], scrapes[-1]
        seconds = last[0] - first[0]
        self._undecided = (last[2] - first[2]) / seconds
        for index, name in enumerate(self._cluster.names):
            pairs = zip(_COUNTERS, first[1][index], last[1][index], strict=True)
            metrics = {signal: (after - before) / seconds for signal, before, after in pairs}
            metrics[TierSignal.EJECTED] = self._ejected[index]
            self._tiers[name] = metrics


def _larger(known: float, new: float) -> float:
    return new if math.isnan(known) else max(known, new)


def _rate(first: tuple[float, float] | None, last: tuple[float, float] | None) -> float:
    """Per second between two scrapes; NaN when there are no two."""
    if first is None or last is None or last[0] <= first[0]:
        return math.nan
    return (last[1] - first[1]) / (last[0] - first[0])


def _handled(counters: tuple[float, ...]) -> float:
    """Requests that the tier answered or refused."""
    return counters[_COUNTERS.index(TierSignal.ANSWERED)] + counters[_COUNTERS.index(TierSignal.REFUSED)]
