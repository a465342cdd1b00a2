"""Asks Prometheus every few seconds for the figures of all clusters, and tells which clusters to reconcile for them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.metrics.readings import FRESH, Readings
from heterollm_operator.kube.store import Key
from heterollm_operator.prometheus.client import Unanswered
from heterollm_operator.prometheus.last_results import Held
from heterollm_operator.prometheus.queries import Name, Selection, SideFigure
from heterollm_operator.prometheus.query_run import Asker, Gathered, Source
from heterollm_operator.prometheus.readings import Answers, SideSeries, readings
from heterollm_operator.prometheus.results import Cluster, Samples, Series
from heterollm_operator.prometheus.tenant_isolation import Isolation
from heterollm_operator.runtime.clock import Clock
from heterollm_operator.runtime.metrics import Metrics

__all__ = ["Poller", "Polling", "Source"]

_log = logging.getLogger(__name__)

_DEADLINE = 4.0
_HISTORY_KEPT = timedelta(minutes=3)
"""How long history is handed out whose renewal fails."""
_CHECKS_AT_ONCE = 50
"""Clusters that are checked before others get their turn."""
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Polling:
    """How figures are asked for.

    Attributes:
        seconds: from the beginning of one tick to that of the next.
        scrape_seconds: how often Prometheus scrapes the pods.
        namespaces: those served; none for all.
        deadline: seconds in which all queries of a tick must be answered.
    """

    seconds: float = 5.0
    scrape_seconds: float = 15.0
    namespaces: tuple[str, ...] = ()
    deadline: float = _DEADLINE


class Poller:
    """Keeps the readings of the last tick. Ticks never overlap; a tick takes no longer than its deadline."""

    def __init__(
        self,
        source: Source,
        polling: Polling,
        specs: Callable[[], Mapping[Key, HeteroLLMClusterSpec]],
        due: Callable[[Key, Readings], bool],
        add: Callable[[Key], None],
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        """`specs`: of the clusters to steer; `due`: whether a reconcile would change anything; `add`: reconcile."""
        self._asker = Asker(source, clock)
        self._polling = polling
        self._specs = specs
        self._due = due
        self._add = add
        self._metrics = metrics
        self._clock = clock
        self._isolation = Isolation()
        self._latest: Mapping[Key, Readings] = {}
        self._held = Held[Samples](FRESH)
        self._held_history = Held[Series](_HISTORY_KEPT)
        self._history: Mapping[Name, Mapping[Cluster, Series]] = {}
        self._sides: dict[Cluster, SideSeries] = {}
        self._minute = _NEVER
        self._complaint = ""
        self._answered_at = clock.monotonic()

    async def run(self) -> None:
        """Tick for ever."""
        self._answered_at = self._clock.monotonic()
        self._metrics.prometheus_age.set_function(lambda: self._clock.monotonic() - self._answered_at)
        while True:
            started = self._clock.monotonic()
            await self.tick()
            took = self._clock.monotonic() - started
            self._metrics.poll_seconds.observe(took)
            await self._clock.sleep(max(0.0, self._polling.seconds - took))

    def readings(self, key: Key) -> Readings | None:
        """What the last tick learned of a cluster; None for one that it did not know."""
        return self._latest.get(key)

    async def tick(self) -> None:
        """Ask once, and put the clusters into the queue that are to be reconciled for it."""
        specs = dict(self._specs())
        if not specs:
            self._latest = {}
            return
        at = self._clock.utc()
        gathered = await self._gather(specs, at)
        self._tell(gathered)
        self._held.fill(gathered.figures, gathered.failed, at)
        self._keep_sides(gathered, specs)
        if gathered.minutes:
            self._held_history.fill(gathered.minutes, gathered.failed, at)
            self._history = gathered.minutes
        answers = Answers(gathered.figures, self._history, gathered.failed, self._sides)
        slow = {key: spec.fallback.slow_milliseconds for key, spec in specs.items()}
        self._latest = await asyncio.to_thread(readings, answers, slow, at, self._polling.scrape_seconds)
        await self._check()

    def _keep_sides(self, gathered: Gathered, specs: Collection[Cluster]) -> None:
        """Keep counts with their time: they are added up, so that those of another minute must not pass for them."""
        found = gathered.minutes.pop(SideFigure.SIDES, {})
        kept = {key: sides for key, sides in self._sides.items() if key in specs}
        if gathered.minute is not None:
            kept |= {key: SideSeries(gathered.minute, series) for key, series in found.items()}
        self._sides = kept

    async def _check(self) -> None:
        for number, (key, found) in enumerate(self._latest.items()):
            if self._due(key, found):
                self._add(key)
            if number % _CHECKS_AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _gather(self, specs: Mapping[Key, HeteroLLMClusterSpec], at: datetime) -> Gathered:
        window = round(Readings(at, self._polling.scrape_seconds).window)
        slow = {spec.fallback.slow_milliseconds for spec in specs.values()}
        scrape = max(1, round(self._polling.scrape_seconds))
        migrating = tuple(sorted({key.name for key, spec in specs.items() if spec.migration is not None}))
        selection = Selection(window, scrape, self._polling.namespaces, slow, migrating)
        minute = at.replace(second=0, microsecond=0)
        asked = minute if minute != self._minute else None
        self._minute = minute
        namespaces, now = {key.namespace for key in specs}, self._clock.monotonic()
        groups, suspects = self._isolation.groups(namespaces, now), self._isolation.suspects
        gathered = await self._asker.ask(specs, selection, groups, suspects, asked, self._polling.deadline)
        if self._isolation.learn(namespaces, gathered.blamed, now, whole=asked is not None):
            apart = sorted(", ".join(sorted(group)[:5]) for group in self._isolation.suspects)
            _log.warning("Queries fail for some namespaces; asked apart are: %s", "; ".join(apart) or "none")
            # With the history as well, so that who is at fault for that one is found, too.
            self._minute = _NEVER
        return gathered

    def _tell(self, gathered: Gathered) -> None:
        """Count what failed, and log it once."""
        for reason in {error.reason for error in gathered.errors}:
            self._metrics.poll_failures.labels(reason).inc()
        if gathered.answered:
            self._answered_at = self._clock.monotonic()
        complaint = _summary(gathered.errors)
        if complaint != self._complaint:
            _log.log(logging.WARNING if complaint else logging.INFO, "%s", complaint or "Prometheus answers again")
        self._complaint = complaint


def _summary(errors: Iterable[Unanswered]) -> str:
    """For people: each thing that went wrong once."""
    return "; ".join(sorted({f"Prometheus: {error}" for error in errors}))[:500]
