"""The operator process: puts the parts together, runs them, and ends when any of them does."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Coroutine
from typing import Any

from heterollm_controllers.metrics.readings import Readings
from heterollm_operator.kube import watch
from heterollm_operator.kube.apply import NotLeading, Writer
from heterollm_operator.kube.client import Api, ApiError
from heterollm_operator.kube.freshness import Freshness
from heterollm_operator.kube.kinds import CLUSTER, Scope, scopes
from heterollm_operator.kube.lease import ApiLease
from heterollm_operator.kube.listing import Lister
from heterollm_operator.kube.store import Key, Store
from heterollm_operator.kube.watch import Watcher
from heterollm_operator.process.cluster_metrics import ClusterMetrics
from heterollm_operator.process.config import PrometheusSettings, Settings
from heterollm_operator.process.cost_metrics import CostMetrics
from heterollm_operator.process.health import Health, serve
from heterollm_operator.process.leader import Elector, LeaseLost, Timing
from heterollm_operator.process.queue import WorkQueue
from heterollm_operator.process.rechecks import Rechecks
from heterollm_operator.process.specs import Specs
from heterollm_operator.process.status_page import StatusPage
from heterollm_operator.process.worker import Core, Sight, Worker
from heterollm_operator.prometheus.client import Prometheus
from heterollm_operator.prometheus.poller import Poller, Polling
from heterollm_operator.runtime.clock import Clock, SystemClock
from heterollm_operator.runtime.gc_tuning import collect_rarely
from heterollm_operator.runtime.metrics import Metrics

__all__ = ["operate"]

_log = logging.getLogger(__name__)

_STOP_SECONDS = 2.0
"""The time the watches get to end."""

_EXIT_SECONDS = 5.0
"""The time a process gets to end once a part of it has ended, or it was asked to; then it is ended by force."""

_GAP = 0.25
"""Seconds between two reconciles of a cluster that events ask for: a reconcile costs far more than an event."""


class Operator:
    """All parts of one process."""

    def __init__(self, settings: Settings, core: Core, api: Api) -> None:
        clock = SystemClock()
        timing = Timing()
        self._settings = settings
        self._leads = asyncio.Event()
        self._metrics = Metrics()
        self._queue: WorkQueue[Key] = WorkQueue(clock.monotonic, gap=_GAP)
        self._store = Store(self._changed)
        self._freshness = Freshness(scopes(settings.namespaces), clock.monotonic)
        self._lister = Lister(api, self._store, self._freshness, clock, settings.namespaces)
        self._freshness.on_seen_again(self._seen_again)
        self._watcher = Watcher(api, settings.namespaces, self._seen, self._freshness, self._metrics, watch.settings())
        lease = ApiLease(api, self._metrics, settings.lease_namespace, settings.lease_name, timing.request)
        self._elector = Elector(lease, settings.identity, clock, timing, self._lead)
        writer = Writer(
            api,
            self._store,
            self._metrics,
            clock,
            leading=lambda: self._elector.leading,
            identity=settings.identity,
            limit=timing.request,
        )
        rechecks = Rechecks(clock)
        self._poller = self._polls(settings.prometheus, rechecks, clock)
        self._page = self._status_page(clock) if settings.status_page else None
        cluster_metrics = ClusterMetrics(rechecks.known, self._readings)
        cost_metrics = CostMetrics(clock.monotonic)
        for collector in (cluster_metrics, cost_metrics):
            self._metrics.registry.register(collector)
        sight = Sight(self._readings, rechecks, cluster_metrics, cost_metrics)
        unknown = self._freshness.unknown
        self._worker = Worker(
            core, self._store, self._queue, writer, self._metrics, clock, settings.resync, sight, unknown
        )
        self._health = Health(
            self._freshness,
            self._watcher.stale_after,
            self._elector,
            self._worker,
            self._queue,
            self._store,
            self._metrics,
            settings.identity,
            clock.monotonic,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop`, or until a part fails, which raises its error. Returns with the lease given up."""
        server = await serve(self._health, self._settings.host, self._settings.port, self._page)
        parts: list[Coroutine[Any, Any, object]] = [stop.wait(), self._lister.run(), self._watch_and_elect()]
        parts += [self._work() for _ in range(self._settings.workers)]
        if self._poller is not None:
            parts.append(self._poll(self._poller))
        tasks = [asyncio.create_task(part) for part in parts]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            _end_within(_EXIT_SECONDS)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._end()
            await server.cleanup()
        for task in done:
            task.result()

    async def _watch_and_elect(self) -> None:
        await self._lister.wait_served()
        watching = asyncio.create_task(self._watcher.run())
        electing = asyncio.create_task(self._elect())
        try:
            done, _ = await asyncio.wait((watching, electing), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            watching.cancel()
            electing.cancel()
            await asyncio.gather(watching, electing, return_exceptions=True)

    async def _elect(self) -> None:
        # Whoever cannot see everything must not keep one that can from leading.
        await self._freshness.complete.wait()
        await self._elector.run()

    async def _work(self) -> None:
        await self._leads.wait()
        await self._worker.run()

    def _status_page(self, clock: Clock) -> StatusPage:
        """Every replica has one, as all watch the clusters. It asks Prometheus apart from the poller."""
        settings = self._settings.prometheus
        source = None if settings is None else _source(settings, clock)
        return StatusPage(self._store, source, self._settings.namespaces, clock)

    def _polls(self, settings: PrometheusSettings | None, rechecks: Rechecks, clock: Clock) -> Poller | None:
        if settings is None:
            return None
        source = _source(settings, clock)
        polling = Polling(settings.poll, settings.scrape, self._settings.namespaces)
        specs = Specs(self._store.clusters, lambda key: self._store.get(CLUSTER, key.namespace, key.name))
        return Poller(source, polling, specs, rechecks.due, self._queue.add, self._metrics, clock)

    def _readings(self, key: Key) -> Readings | None:
        return self._poller.readings(key) if self._poller is not None else None

    async def _poll(self, poller: Poller) -> None:
        await self._leads.wait()
        await poller.run()

    async def _end(self) -> None:
        try:
            await self._elector.release()
        except ApiError as error:
            _log.warning("The lease could not be given up: %s", error)
        await self._watcher.stop(_STOP_SECONDS)

    def _seen(self, event: str | None, body: dict[str, Any]) -> None:
        (self._store.remove if event == "DELETED" else self._store.put)(body)

    def _seen_again(self, scope: Scope) -> None:
        for key in self._store.clusters():
            if scope.namespace in (None, key.namespace):
                self._changed(key)

    def _changed(self, key: Key) -> None:
        if self._leads.is_set():
            self._queue.add(key)

    def _lead(self) -> None:
        self._leads.set()
        for key in self._store.clusters():
            self._queue.add(key)


def _source(settings: PrometheusSettings, clock: Clock) -> Prometheus:
    return Prometheus(settings.url, clock.utc, settings.token_file, settings.ca_file)


def _end_within(seconds: float) -> None:
    """Whatever hangs: a replica that has stopped working must not stay."""
    timer = threading.Timer(seconds, os._exit, [1])
    timer.daemon = True
    timer.start()


async def operate(settings: Settings, core: Core) -> int:
    """Run one operator until SIGTERM or SIGINT (exit status 0), or until it must be restarted (1)."""
    collect_rarely()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    api = await Api.connect(settings.kubeconfig)
    _log.info("Serving %s from %s", ", ".join(settings.namespaces) or "all namespaces", api.server)
    try:
        await Operator(settings, core, api).run(stop)
    except (LeaseLost, NotLeading) as error:
        _log.error("Ending, to be restarted: %s", error or "the lease was lost")
        return 1
    except Exception:
        _log.exception("Ending, to be restarted")
        return 1
    finally:
        await api.close()
    _log.info("Ended")
    return 0
