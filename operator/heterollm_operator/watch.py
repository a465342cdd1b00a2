"""Watching, by Kopf: low-level events only, so that it writes nothing and leaves no trace on any object.

Kopf runs in a thread and an event loop of its own. It may spend seconds on a large listing and cancels every task of
its loop when it ends; neither must reach lease renewal and the workers.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

import aiohttp
import kopf

from heterollm_controllers import names
from heterollm_operator.client import Api
from heterollm_operator.freshness import Freshness
from heterollm_operator.kinds import CHILDREN, WATCHED, Kind, Scope, scopes

__all__ = ["SELECTOR", "Watcher", "settings"]

_log = logging.getLogger(__name__)

SELECTOR = f"{names.MANAGED_BY}={names.MANAGER}"
"""Label selector of every child."""

OnEvent = Callable[[str | None, dict[str, Any]], None]


class _NoDifferences(kopf.DiffBaseStorage):
    """Keeps Kopf from copying every object with every event, to find differences that no handler of ours asks for."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        """Nothing of an object is worth comparing."""
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> None:
        """No object was ever handled before."""

    def store(self, **_: Any) -> None:
        """Nothing is kept."""


def settings() -> kopf.OperatorSettings:
    """Kopf's settings; all times in seconds."""
    result = kopf.OperatorSettings()
    # Kinds are fixed: no watching of CRDs and namespaces, hence no permission for it.
    result.scanning.disabled = True
    result.posting.enabled = False
    result.networking.request_timeout = 30
    # Go on trying after an API server's restart within two seconds, for as long as it takes.
    result.networking.error_backoffs = (0.5, 1, *[2] * 30)
    result.watching.server_timeout = 120
    result.watching.client_timeout = 130
    result.watching.inactivity_timeout = 70
    result.watching.connect_timeout = 10
    result.watching.chunk_size = 500
    # An object's worker holds one of these places until it has been idle for `idle_timeout`: Kopf's default of five
    # seconds would let through ten objects a second.
    result.queueing.worker_limit = 50
    result.queueing.idle_timeout = 0.01
    result.queueing.exit_timeout = 0.5
    result.persistence.diffbase_storage = _NoDifferences()
    for kind in CHILDREN:
        group, _, version = kind.api_version.rpartition("/")
        result.watching.label_selectors[group, version, kind.plural] = SELECTOR
    return result


class Watcher:
    """Runs Kopf in a thread. Callbacks run in the event loop that made the watcher."""

    def __init__(
        self,
        api: Api,
        namespaces: tuple[str, ...],
        on_event: OnEvent,
        freshness: Freshness,
        kopf_settings: kopf.OperatorSettings,
    ) -> None:
        """`namespaces` empty means all. `on_event` gets the event's type (None for a listed object) and the body."""
        self._api = api
        self._namespaces = namespaces
        self._scopes = {scope.path: scope for scope in scopes(namespaces)}
        self._on_event = on_event
        self._freshness = freshness
        self._settings = kopf_settings
        self._loop = asyncio.get_running_loop()
        self._stop = threading.Event()
        self._started = False
        self._ended = asyncio.Event()
        self._error: BaseException | None = None

    @property
    def stale_after(self) -> float:
        """Seconds without a sign of life after which a watch must be dead.

        The server ends every stream after `server_timeout`; one that fell silent is opened anew after
        `inactivity_timeout`.
        """
        watching = self._settings.watching
        return (watching.server_timeout or 0) + watching.inactivity_timeout + 10

    async def run(self) -> None:
        """Watch until Kopf fails, which raises its error, or `stop`."""
        # A daemon thread, so that a Kopf that does not end cannot keep the process from ending.
        self._started = True
        threading.Thread(target=self._thread, name="kopf", daemon=True).start()
        await self._ended.wait()
        if self._error is not None:
            raise self._error

    async def stop(self, limit: float) -> None:
        """Ask Kopf to end and wait for it for at most `limit` seconds."""
        self._stop.set()
        if not self._started:
            return
        try:
            async with asyncio.timeout(limit):
                await self._ended.wait()
        except TimeoutError:
            _log.warning("The watches did not end within %g s", limit)

    def _thread(self) -> None:
        try:
            asyncio.run(self._operate())
        except BaseException as error:  # the main thread raises it
            self._error = error
        self._loop.call_soon_threadsafe(self._ended.set)

    async def _operate(self) -> None:
        try:
            await kopf.operator(
                registry=self._registry(),
                settings=self._settings,
                standalone=True,
                clusterwide=not self._namespaces,
                namespaces=self._namespaces,
                stop_flag=self._stop,
            )
        finally:
            self._stop.set()  # otherwise the thread in which Kopf waits for this flag would outlive it

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry)(self._login)
        for kind in WATCHED:
            group, _, version = kind.api_version.rpartition("/")
            kopf.on.event(group, version, kind.plural, registry=registry)(self._handler(kind))
        return registry

    def _handler(self, kind: Kind) -> Any:
        """Hands the event over and does nothing else: Kopf's loop must stay fast."""

        async def handle(event: kopf.RawEvent, **_: Any) -> None:
            body: dict[str, Any] = dict(event["object"])
            body.setdefault("apiVersion", kind.api_version)
            body.setdefault("kind", kind.kind)
            scope = Scope(kind, body["metadata"]["namespace"] if self._namespaces else None)
            self._loop.call_soon_threadsafe(self._deliver, scope, event["type"], body)

        return handle

    def _deliver(self, scope: Scope, type_: str | None, body: dict[str, Any]) -> None:
        self._freshness.event(scope)
        self._on_event(type_, body)

    async def _login(self, **_: Any) -> kopf.AiohttpSession:
        trace = aiohttp.TraceConfig()
        trace.on_request_end.append(self._traced)
        return kopf.AiohttpSession(server=self._api.server, aiohttp_session=self._api.session(trace))

    async def _traced(self, _session: Any, _context: Any, params: aiohttp.TraceRequestEndParams) -> None:
        """Kopf tells nobody when it lists and opens streams; its HTTP session does."""
        scope = self._scopes.get(params.url.path)  # None for Kopf's discovery
        if scope is not None and params.response.status == 200:
            opened = "watch" in params.url.query
            report = self._freshness.opened if opened else self._freshness.listed
            self._loop.call_soon_threadsafe(report, scope)
