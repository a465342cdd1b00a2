"""The status page: clusters as they are, for people, read-only.

It never holds up a reconcile. A page is made at most every few seconds, one at a time, whoever asks how often; making
one lets the event loop go on after each cluster; Prometheus is asked in a thread, and after a failure not for a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from heterollm_controllers.view.cluster_view import ClusterView, cluster_view
from heterollm_controllers.view.page import cluster_page, content_security_policy, fleet_page
from heterollm_operator.kube.kinds import CLUSTER
from heterollm_operator.kube.store import Key, Store
from heterollm_operator.prometheus.client import Prometheus
from heterollm_operator.prometheus.seen_figures import Seen, figures_now, last_hour
from heterollm_operator.runtime.clock import Clock
from heterollm_operator.runtime.thread_pool import Threads

__all__ = ["StatusPage"]

_KEPT = 5.0
"""Seconds for which a page is the same for everybody."""
_SILENCE = 15.0
"""Seconds for which Prometheus is not asked after it has failed."""
_LONGEST = 6.0
"""Seconds that are waited for a thread that asks; by itself it ends within 4."""
_MOST_KEPT = 32
"""Pages that are kept."""
_MOST_WAITING = 16
"""Requests that wait for a page to be made; more are sent away."""
_HEADERS = {
    "Content-Security-Policy": content_security_policy(),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class _Kept:
    until: float
    html: str | None
    """None: there is no such cluster."""


class StatusPage:
    """Serves the fleet at / and a cluster at /clusters/NAMESPACE/NAME."""

    def __init__(self, store: Store, source: Prometheus | None, namespaces: tuple[str, ...], clock: Clock) -> None:
        """`namespaces`: those served, none for all; `source`: None where no Prometheus is known."""
        self._store = store
        self._source = source
        self._namespaces = namespaces
        self._clock = clock
        self._threads = Threads(1)
        self._one = asyncio.Lock()
        self._waiting = 0
        self._kept: dict[Key | None, _Kept] = {}
        self._failure = Seen({}, problem="no address of Prometheus is set")
        self._ask_again = 0.0

    def routes(self) -> list[web.RouteDef]:
        """What is served."""
        return [web.get("/", self._fleet), web.get("/clusters/{namespace}/{name}", self._cluster)]

    async def _fleet(self, _: web.Request) -> web.Response:
        return await self._answer(None, self._made_fleet)

    async def _cluster(self, request: web.Request) -> web.Response:
        key = Key(request.match_info["namespace"], request.match_info["name"])
        if self._store.get(CLUSTER, *key) is None:
            return _text(404, "there is no such cluster")
        return await self._answer(key, lambda: self._made_cluster(key))

    async def _answer(self, of: Key | None, make: Callable[[], Awaitable[str | None]]) -> web.Response:
        if self._waiting >= _MOST_WAITING:
            return _text(503, "too many requests wait for the page")
        self._waiting += 1
        try:
            async with self._one:
                kept = self._kept.pop(of, None)
                if kept is None or kept.until <= self._clock.monotonic():
                    html = await make()
                    kept = _Kept(self._clock.monotonic() + _KEPT, html)
                # The oldest goes first.
                self._kept[of] = kept
                if len(self._kept) > _MOST_KEPT:
                    del self._kept[next(iter(self._kept))]
        finally:
            self._waiting -= 1
        if kept.html is None:
            return _text(404, "there is no such cluster")
        return web.Response(text=kept.html, content_type="text/html", headers=_HEADERS)

    async def _made_fleet(self) -> str:
        keys = self._store.clusters()
        seen = await self._ask(lambda source: figures_now(source, self._namespaces, keys))
        views: list[ClusterView] = []
        for key in keys:
            body = self._store.get(CLUSTER, *key)
            if body is not None:
                views.append(cluster_view(body, seen.figures.get(key)))
            await asyncio.sleep(0)
        now = self._clock.utc()
        return await self._threads.call(lambda: fleet_page(views, _note(seen), now))

    async def _made_cluster(self, key: Key) -> str | None:
        seen = await self._ask(lambda source: last_hour(source, key, self._clock.utc()))
        body = self._store.get(CLUSTER, *key)
        if body is None:
            return None
        return cluster_page(cluster_view(body, seen.figures.get(key), seen.charts), _note(seen), self._clock.utc())

    async def _ask(self, what: Callable[[Prometheus], Seen]) -> Seen:
        source = self._source
        if source is None or self._clock.monotonic() < self._ask_again:
            return self._failure
        try:
            async with asyncio.timeout(_LONGEST):
                seen = await self._threads.call(lambda: what(source))
        except TimeoutError:
            # A name that is not resolved, for example, for which no library has a time-out.
            seen = Seen({}, problem="no answer in time")
        if seen.problem:
            self._failure = Seen({}, problem=seen.problem)
            self._ask_again = self._clock.monotonic() + _SILENCE
        return seen


def _note(seen: Seen) -> str:
    return f"Figures of Prometheus are missing: {seen.problem}" if seen.problem else ""


def _text(status: int, text: str) -> web.Response:
    return web.Response(text=f"{text}\n", status=status, headers=_HEADERS)
