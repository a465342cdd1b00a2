"""One look at a cluster: gather what is observed, let the core decide, carry the outcome out."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable, Mapping
from datetime import datetime
from operator import itemgetter
from types import MappingProxyType
from typing import Any, TypeVar, cast

from heterollm_controllers.outcome import NOT_OURS, Config, Observed, Outcome
from heterollm_controllers.steering.signals import Readings
from heterollm_controllers.steering.steer import steer
from heterollm_operator.apply import NotLeading, Stale, Writer, name_of
from heterollm_operator.client import ApiError
from heterollm_operator.clock import Clock
from heterollm_operator.cluster_metrics import ClusterMetrics
from heterollm_operator.kinds import CLUSTER
from heterollm_operator.metrics import Metrics
from heterollm_operator.queue import WorkQueue
from heterollm_operator.steered import Steer, Steered
from heterollm_operator.store import Body, Key, Store

__all__ = ["Core", "Sight", "Worker"]

_log = logging.getLogger(__name__)

_VERDICTS = 1024
"""Dry-run answers kept; one per distinct patched template."""

_SIDE_BY_SIDE = 8
"""Requests of one look that are under way at a time."""

T = TypeVar("T")
Reconcile = Callable[[Observed, Config, datetime], Outcome]
Digest = Callable[[Mapping[str, Any]], str]


class Refused(Exception):
    """An object that is not ours stands where a child should be: it is never taken over."""


class Core:
    """The pure functions and their constants, so that tests can put others in their place."""

    def __init__(self, reconcile: Reconcile, digest: Digest, config: Config, steer: Steer = steer) -> None:
        self.reconcile = reconcile
        self.digest = digest
        self.steer = steer
        self.config = config


class Sight:
    """What looks know of the clusters' figures, and what they leave for those who watch the figures."""

    def __init__(
        self, readings: Callable[[Key], Readings | None], steered: Steered, cluster_metrics: ClusterMetrics
    ) -> None:
        self.readings = readings
        self._steered = steered
        self._metrics = cluster_metrics

    def looked(self, key: Key, outcome: Outcome) -> None:
        """A look has been carried out."""
        self._steered.looked(key, outcome.steering)
        self._metrics.looked(key, outcome.status)

    def forget(self, key: Key) -> None:
        """The cluster has gone."""
        self._steered.forget(key)
        self._metrics.forget(key)


class Worker:
    """Takes keys from the queue, one after the other. Several run side by side and share everything here."""

    def __init__(
        self,
        core: Core,
        store: Store,
        queue: WorkQueue[Key],
        writer: Writer,
        metrics: Metrics,
        clock: Clock,
        resync: float,
        sight: Sight,
    ) -> None:
        """`resync` is the longest time between two looks at a cluster, in seconds."""
        self._core = core
        self._store = store
        self._queue = queue
        self._writer = writer
        self._metrics = metrics
        self._clock = clock
        self._resync = resync
        self._sight = sight
        self._verdicts: OrderedDict[str, str | None] = OrderedDict()
        self._failures: dict[Key, str] = {}
        self.since: dict[Key, float] = {}
        """When each look now under way began (monotonic seconds): a hung worker shows here."""

    async def run(self) -> None:
        """Look at due clusters, for ever. Ends with NotLeading once the lease is lost."""
        while True:
            key, waited = await self._queue.get()
            self._metrics.queue_latency.observe(waited)
            self.since[key] = self._clock.monotonic()
            try:
                result = await self._look_safely(key)
            finally:
                started = self.since.pop(key)
            self._metrics.reconcile_duration.observe(self._clock.monotonic() - started)
            self._metrics.reconciles.labels(result).inc()
            # A look that never waited would otherwise keep leader election from its turn.
            await asyncio.sleep(0)

    async def _look_safely(self, key: Key) -> str:
        """Look, and tell the queue how it went. Returns the result for the metrics."""
        try:
            result, after = await self.look(key)
        except Stale as error:
            _log.info("Looking again: %s", error, extra={"cluster": str(key)})
            self._queue.fail(key)
            return "stale"
        except (ApiError, Refused) as error:
            self._failures[key] = str(error)
            seconds = self._queue.fail(key)
            _log.warning("Looking again in %.1f s: %s", seconds, error, extra={"cluster": str(key)})
            return "failed"
        except NotLeading:
            raise
        except Exception:
            # A defect, met by this one cluster: the others must go on.
            seconds = self._queue.fail(key)
            _log.exception("Defect; looking again in %.1f s", seconds, extra={"cluster": str(key)})
            return "defect"
        self._queue.done(key, after)
        return result

    async def look(self, key: Key) -> tuple[str, float | None]:
        """One look; returns its result and the seconds until the next one."""
        cluster = self._store.get(CLUSTER, key.namespace, key.name)
        if cluster is None or "deletionTimestamp" in cluster["metadata"]:
            # Its children go with it, by their owner references.
            self._failures.pop(key, None)
            self._sight.forget(key)
            return "gone", None
        failure = self._failures.get(key)
        children, verdicts = self._store.children(key), MappingProxyType(self._verdicts)
        observed = Observed(cluster, children, verdicts, failure, self._sight.readings(key))
        outcome = self._core.reconcile(observed, self._core.config, self._clock.utc())
        if outcome.check:
            await self._check(cluster, outcome)
            return "checked", 0.0
        await self._carry_out(cluster, outcome)
        self._sight.looked(key, outcome)
        if self._failures.pop(key, None) is not None:
            return "recovered", 0.0  # at once, for the status to say so
        resync = self._resync * random.uniform(0.9, 1.1)
        return "done", resync if outcome.requeue_after is None else min(resync, outcome.requeue_after)

    async def _check(self, cluster: Body, outcome: Outcome) -> None:
        answers = await _all(self._writer.check(cluster, manifest) for manifest in outcome.check)
        self._verdicts |= zip(map(self._core.digest, outcome.check), answers, strict=True)
        while len(self._verdicts) > _VERDICTS:
            self._verdicts.popitem(last=False)

    async def _carry_out(self, cluster: Body, outcome: Outcome) -> None:
        """Record before acting: nothing below the status is done unless the status is stored.

        A status that is right already is sent all the same before any effect. It changes nothing then, but a look
        through watches that stand still is refused.
        """
        if outcome.status != cluster.get("status", {}) or outcome.apply or outcome.delete:
            await self._writer.status(cluster, outcome.status)
        await _all(self._writer.event(cluster, event) for event in outcome.events)
        strangers = await self._writer.strangers(cluster, outcome.apply)
        # A stranger in one place must not stop what serves from being looked after.
        ours = [manifest for manifest in outcome.apply if name_of(manifest) not in strangers]
        # In order, but neighbours of one kind side by side: they never wait for each other.
        for _, group in itertools.groupby(ours, key=itemgetter("kind")):
            await _all(self._writer.apply(cluster, manifest) for manifest in group)
        await _all(self._writer.delete(cluster, target) for target in outcome.delete)
        if strangers:
            raise Refused("; ".join(f"{stranger} {NOT_OURS}" for stranger in strangers))


async def _all(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Make the calls side by side, a few at a time. Raises the first error, once all of them have ended."""
    places = asyncio.Semaphore(_SIDE_BY_SIDE)

    async def placed(call: Coroutine[Any, Any, T]) -> T:
        async with places:
            return await call

    answers = await asyncio.gather(*map(placed, calls), return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return cast(list[T], answers)
