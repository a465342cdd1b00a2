"""Health and metrics over HTTP, and the status page where it is asked for."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from heterollm_operator.kube.freshness import Freshness
from heterollm_operator.kube.store import Key, Store
from heterollm_operator.process.leader import Elector
from heterollm_operator.process.queue import WorkQueue
from heterollm_operator.process.status_page import StatusPage
from heterollm_operator.process.worker import Worker
from heterollm_operator.runtime.metrics import Metrics

__all__ = ["Health", "serve"]

_HUNG_ELECTION = 60.0
_HUNG_WORKER = 300.0
"""Seconds; a reconcile is bounded by its requests' time-outs and retries."""


class Health:
    """Judges the process. The parts only leave signs of life; what they mean is said here."""

    def __init__(
        self,
        freshness: Freshness,
        stale_after: float,
        elector: Elector,
        worker: Worker,
        queue: WorkQueue[Key],
        store: Store,
        metrics: Metrics,
        identity: str,
        monotonic: Callable[[], float],
    ) -> None:
        """`stale_after`: seconds without a sign of life after which a watch counts as dead."""
        self._freshness = freshness
        self._stale_after = stale_after
        self._elector = elector
        self._worker = worker
        self._queue = queue
        self._store = store
        self._metrics = metrics
        self._identity = identity
        self._monotonic = monotonic

    def not_alive(self) -> list[str]:
        """Reasons to restart the process: something in it has stopped. A watch never opened is not ready yet."""
        now = self._monotonic()
        reasons = [
            f"watch of {scope.path} is stale: no sign of life for {age:.0f} s"
            for scope, age in self._freshness.ages().items()
            if age is not None and age > self._stale_after
        ]
        beat = self._elector.beat
        if beat is not None and now - beat > _HUNG_ELECTION:
            reasons.append(f"leader election hangs for {now - beat:.0f} s")
        reasons += [
            f"the reconcile of {key} hangs for {now - since:.0f} s"
            for key, since in self._worker.since.items()
            if now - since > _HUNG_WORKER
        ]
        return reasons

    def not_ready(self) -> list[str]:
        """What is still missing before this replica could lead: some scopes may be refused, but not all."""
        missing = [f"not listed yet: {scope.path}" for scope in self._freshness.unverified]
        return missing + (self.refused() if self._freshness.sees_nothing else []) + self.not_alive()

    def refused(self) -> list[str]:
        """What the API server does not let this replica watch. A restart would not help."""
        return [f"refused: {scope.path}: {message}" for scope, message in self._freshness.refused.items()]

    def metrics(self) -> bytes:
        """Everything, with the figures that are only computed when asked for."""
        self._metrics.queue_depth.set(len(self._queue))
        self._metrics.clusters.set(len(self._store.clusters()))
        self._metrics.leader.labels(self._identity).set(self._elector.leading)
        for scope, age in self._freshness.ages().items():
            where = scope.kind.plural, scope.namespace or ""
            if age is not None:
                self._metrics.watch_age.labels(*where).set(age)
            self._metrics.watch_refused.labels(*where).set(scope in self._freshness.refused)
        return generate_latest(self._metrics.registry)


async def serve(health: Health, host: str, port: int, page: StatusPage | None = None) -> web.AppRunner:
    """Listen; the caller cleans the runner up. `page`: shown at / beside the rest."""

    def answer(reasons: list[str]) -> web.Response:
        lines = reasons or ["ok", *health.refused()]
        return web.Response(text="\n".join(lines) + "\n", status=503 if reasons else 200)

    async def healthz(_: web.Request) -> web.Response:
        return answer(health.not_alive())

    async def readyz(_: web.Request) -> web.Response:
        return answer(health.not_ready())

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=health.metrics(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    if page is not None:
        app.add_routes(page.routes())
    # Whoever still waits for a page must not keep the process from ending.
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, host or None, port).start()
    return runner
