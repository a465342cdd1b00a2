"""One reconcile of a cluster: gather what is observed, let the core decide, carry the outcome out."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from operator import itemgetter
from typing import Any, TypeVar, cast

from heterollm_controllers.api import names
from heterollm_controllers.api.installation import Config
from heterollm_controllers.api.objects import Failure
from heterollm_controllers.api.vocabulary import Reason
from heterollm_controllers.metrics.readings import Readings
from heterollm_controllers.reconcile.contract import Observed, Outcome
from heterollm_controllers.reconcile.internal_error import internal_error
from heterollm_operator.kube.apply import NotLeading, Stale, Writer, name_of
from heterollm_operator.kube.client import ApiError
from heterollm_operator.kube.dry_run import refusal_of
from heterollm_operator.kube.kinds import CLUSTER, Scope
from heterollm_operator.kube.store import Body, Key, Store
from heterollm_operator.process.cluster_metrics import ClusterMetrics
from heterollm_operator.process.cost_metrics import CostMetrics
from heterollm_operator.process.queue import WorkQueue
from heterollm_operator.process.rechecks import Rechecks
from heterollm_operator.runtime.clock import Clock
from heterollm_operator.runtime.metrics import Metrics

__all__ = ["Core", "Sight", "Worker"]

_log = logging.getLogger(__name__)

_AGAIN = {"failed", "refused", "defect"}
"""Results of reconciles that left something to be tried again, after a back-off."""

_SIDE_BY_SIDE = 8
"""Requests of one reconcile that are under way at a time."""

T = TypeVar("T")
Reconcile = Callable[[Observed, Config, datetime], Outcome]
Digest = Callable[[Mapping[str, Any]], str]


class Core:
    """The pure functions and their constants, so that tests can put others in their place."""

    def __init__(self, reconcile: Reconcile, digest: Digest, config: Config) -> None:
        self.reconcile = reconcile
        self.digest = digest
        self.config = config


class Sight:
    """What reconciles know of the clusters' figures, and what they leave for those who watch the figures."""

    def __init__(
        self,
        readings: Callable[[Key], Readings | None],
        rechecks: Rechecks,
        cluster_metrics: ClusterMetrics,
        cost_metrics: CostMetrics,
    ) -> None:
        self.readings = readings
        self._rechecks = rechecks
        self._metrics = cluster_metrics
        self._cost = cost_metrics

    def reconciled(self, key: Key, outcome: Outcome) -> None:
        """A reconcile has been carried out."""
        self._rechecks.reconciled(key, outcome.recheck)
        self._metrics.reconciled(key, outcome.status)
        self._cost.reconciled(key, outcome.costs)

    def forget(self, key: Key) -> None:
        """The cluster has gone."""
        self._rechecks.forget(key)
        self._metrics.forget(key)
        self._cost.forget(key)


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
        unknown: Callable[[str], Sequence[Scope]] = lambda _: (),
    ) -> None:
        """`resync` is the longest time between two reconciles of a cluster, in seconds.

        `unknown` says which scopes of a namespace cannot be watched now: their objects may exist or not.
        """
        self._core = core
        self._store = store
        self._queue = queue
        self._writer = writer
        self._metrics = metrics
        self._clock = clock
        self._resync = resync
        self._sight = sight
        self._unknown = unknown
        self._failures: dict[Key, tuple[Failure, ...]] = {}
        self.since: dict[Key, float] = {}
        """When each reconcile now under way began (monotonic seconds): a hung worker shows here."""

    async def run(self) -> None:
        """Reconcile due clusters, for ever. Ends with NotLeading once the lease is lost."""
        while True:
            key, waited = await self._queue.get()
            self._metrics.queue_latency.observe(waited)
            self.since[key] = self._clock.monotonic()
            try:
                result = await self._reconcile_safely(key)
            finally:
                started = self.since.pop(key)
            self._metrics.reconcile_duration.observe(self._clock.monotonic() - started)
            self._metrics.reconciles.labels(result).inc()
            # A reconcile that never waited would otherwise keep leader election from its turn.
            await asyncio.sleep(0)

    async def _reconcile_safely(self, key: Key) -> str:
        """Reconcile, and tell the queue how it went. Returns the result for the metrics."""
        try:
            result, after = await self.reconcile(key)
        except Stale as error:
            _log.info("Looking again: %s", error, extra={"cluster": str(key)})
            self._queue.fail(key)
            return "stale"
        except NotLeading:
            raise
        except Exception as error:
            # Met by this one cluster: the others must go on.
            return await self._failed(key, error)
        if result not in _AGAIN:
            self._queue.done(key, after)
            return result
        seconds = self._queue.fail(key)
        if after is not None:
            self._queue.add_after(key, after)
        _log.warning("Looking again in %.1f s: %s", seconds, result, extra={"cluster": str(key)})
        return result

    async def _failed(self, key: Key, error: Exception) -> str:
        """A reconcile has ended before its status was stored: say so on the cluster, if that can be stored."""
        if not isinstance(error, ApiError) or refusal_of(error).reason != Reason.NOT_CHECKED:
            await self._report(key, error)
        seconds = self._queue.fail(key)
        if isinstance(error, ApiError):
            _log.warning("Looking again in %.1f s: %s", seconds, error, extra={"cluster": str(key)})
            return "failed"
        _log.error("Defect; looking again in %.1f s", seconds, exc_info=error, extra={"cluster": str(key)})
        return "defect"

    async def _report(self, key: Key, error: Exception) -> None:
        try:
            cluster = self._store.get(CLUSTER, key.namespace, key.name)
            if cluster is None:
                return
            outcome = internal_error(cluster, error, self._clock.utc())
            if outcome.status != cluster.get("status", {}):
                await self._writer.status(cluster, outcome.status)
                await _all(self._writer.event(cluster, event) for event in outcome.events)
        except NotLeading:
            raise
        except Exception as again:
            _log.warning("Could not be reported: %s", again, extra={"cluster": str(key)})

    async def reconcile(self, key: Key) -> tuple[str, float | None]:
        """One reconcile; returns its result and the seconds until the next one (None: never)."""
        unknown = self._unknown(key.namespace)
        if any(scope.kind == CLUSTER for scope in unknown):
            return "unseen", self._resync
        cluster = self._store.get(CLUSTER, key.namespace, key.name)
        if cluster is None or "deletionTimestamp" in cluster["metadata"]:
            # Its children go with it, by their owner references.
            self._failures.pop(key, None)
            self._sight.forget(key)
            return "gone", None
        earlier = self._failures.get(key, ())
        unseen = tuple(scope.kind.plural for scope in unknown)
        observed = Observed(
            cluster, self._store.children(key), failures=earlier, readings=self._sight.readings(key), unseen=unseen
        )
        outcome = await self._decide(observed)
        for error in outcome.defects:
            _log.error("Defect", exc_info=error, extra={"cluster": str(key)})
        await self._record(cluster, outcome)
        failures = await self._act(cluster, outcome)
        self._sight.reconciled(key, outcome)
        if failures:
            self._failures[key] = failures
            _log.warning("%s", "; ".join(map(str, failures)), extra={"cluster": str(key)})
        else:
            self._failures.pop(key, None)
        result = _result(outcome, failures, earlier)
        # At once, for the status to say that something fails, or no longer does.
        return result, 0.0 if bool(failures) != bool(earlier) else self._rest(outcome)

    def _rest(self, outcome: Outcome) -> float:
        """Seconds until the next reconcile if nothing happens."""
        resync = self._resync * random.uniform(0.9, 1.1)
        return resync if outcome.requeue_after is None else min(resync, outcome.requeue_after)

    async def _decide(self, observed: Observed) -> Outcome:
        """What the core decides, once it knows what the API server says to the dry runs it asks for."""
        now = self._clock.utc()
        outcome = self._core.reconcile(observed, self._core.config, now)
        if not outcome.check:
            return outcome
        answers = await _all(self._writer.check(observed.cluster, manifest) for manifest in outcome.check)
        dry_run_results = dict(zip(map(self._core.digest, outcome.check), answers, strict=True))
        outcome = self._core.reconcile(replace(observed, dry_run_results=dry_run_results), self._core.config, now)
        if outcome.check:
            raise RuntimeError("the core asks for a dry run that has been answered")
        return outcome

    async def _record(self, cluster: Body, outcome: Outcome) -> None:
        """Record before acting: nothing is done unless the status is stored.

        A status that is right already is sent all the same before any effect. It changes nothing then, but a reconcile
        through watches that stand still is refused.
        """
        if outcome.status != cluster.get("status", {}) or outcome.apply or outcome.delete:
            await self._writer.status(cluster, outcome.status)
        await _all(self._writer.event(cluster, event) for event in outcome.events)

    async def _act(self, cluster: Body, outcome: Outcome) -> tuple[Failure, ...]:
        """Apply and delete; returns what could not be done. That stops only what builds on it."""
        failures = await self._writer.not_free(cluster, outcome.apply)
        # In order, but neighbours of one kind side by side: they never wait for each other.
        for _, group in itertools.groupby(outcome.apply, key=itemgetter("kind")):
            todo = [item for item in group if name_of(item) not in failures and _basis(item) not in failures]
            applied = await _all(
                _attempt(self._writer.apply(cluster, item), item["kind"], item["metadata"]["name"]) for item in todo
            )
            failures |= {name_of(item): why for item, why in zip(todo, applied, strict=True) if why}
        # The routers must have let go of what is deleted: by the policy, the only ConfigMap.
        unrouted = all(why.conflict for why in failures.values() if why.kind == "ConfigMap")
        deletions = outcome.delete if unrouted else ()
        deleted = await _all(_attempt(self._writer.delete(cluster, item), item.kind, item.name) for item in deletions)
        return (*failures.values(), *filter(None, deleted))


def _result(outcome: Outcome, failures: Sequence[Failure], earlier: Sequence[Failure]) -> str:
    if outcome.defects:
        return "defect"
    if failures:
        return "failed"
    if outcome.retry:
        return "refused"
    return "recovered" if earlier else "done"


def _basis(manifest: Mapping[str, Any]) -> str | None:
    """The name of the ControllerRevision that an engine is made from: without it nobody could say what it runs."""
    revision = (manifest["metadata"].get("annotations") or {}).get(names.REVISION)
    return f"ControllerRevision {revision}" if revision is not None else None


async def _attempt(call: Coroutine[Any, Any, None], kind: str, name: str) -> Failure | None:
    """Why the API server did not do it; None when it did."""
    try:
        await call
    except (ApiError, Stale) as error:
        return Failure(kind, name, f"is refused: {error}")
    return None


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
