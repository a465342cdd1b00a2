"""Watching, by Kopf: low-level events only, so that it writes nothing and leaves no trace on any object.

Kopf runs in a thread and an event loop of its own. It may spend seconds on a large listing and cancels every task of
its loop when it ends; neither must reach lease renewal and the workers.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from typing import Any

import kopf

from heterollm_controllers.api import names
from heterollm_operator.kube.client import Api
from heterollm_operator.kube.freshness import Freshness
from heterollm_operator.kube.kinds import CHILDREN, WATCHED, Kind, Scope, scopes
from heterollm_operator.kube.kopf_session import Guard, Response
from heterollm_operator.runtime.metrics import Metrics

__all__ = ["SELECTOR", "WatchDead", "Watcher", "selector_of", "settings"]

_log = logging.getLogger(__name__)

SELECTOR = f"{names.MANAGED_BY}={names.MANAGER}"
"""Label selector of every child."""


def selector_of(kind: Kind) -> str:
    """What is watched of a kind beside clusters: children, and ConfigMaps of users that are labelled with a cluster."""
    return names.CLUSTER if kind.kind == "ConfigMap" else SELECTOR


_BEAT = 0.5
_MISSED = 3
"""Seconds between the beats of Kopf's event loop, and how many may be missed in a row."""

OnEvent = Callable[[str | None, dict[str, Any]], None]


class WatchDead(Exception):
    """Kopf has ended or stands still, though nobody asked it to."""


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
    # Go on trying after an API server's restart within two seconds. After the last of them Kopf begins with a listing.
    result.networking.error_backoffs = (0.5, 1, 2, 2)
    result.watching.server_timeout = 120
    result.watching.client_timeout = 130
    result.watching.inactivity_timeout = 70
    result.watching.connect_timeout = 10
    result.watching.chunk_size = 100
    # An object's worker holds one of these places until it has been idle for `idle_timeout`: Kopf's default of five
    # seconds would let through ten objects a second.
    result.queueing.worker_limit = 50
    result.queueing.idle_timeout = 0.01
    result.queueing.exit_timeout = 0.5
    result.persistence.diffbase_storage = _NoDifferences()
    # Kopf takes its finalizer away where no handler needs it: by default also that of other operators made with Kopf.
    result.persistence.finalizer = f"{names.GROUP}/none"
    for kind in CHILDREN:
        group, _, version = kind.api_version.rpartition("/")
        result.watching.label_selectors[group, version, kind.plural] = selector_of(kind)
    return result


class Watcher:
    """Runs Kopf in a thread. Callbacks run in the event loop that made the watcher."""

    def __init__(
        self,
        api: Api,
        namespaces: tuple[str, ...],
        on_event: OnEvent,
        freshness: Freshness,
        metrics: Metrics,
        kopf_settings: kopf.OperatorSettings,
    ) -> None:
        """`namespaces` empty means all. `on_event` gets the event's type (None for a listed object) and the body."""
        self._api = api
        self._namespaces = namespaces
        self._scopes = {scope.path: scope for scope in scopes(namespaces)}
        self._on_event = on_event
        self._freshness = freshness
        self._metrics = metrics
        self._settings = kopf_settings
        self._loop = asyncio.get_running_loop()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kopf", daemon=True)
        self._beats = 0
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
        """Watch until `stop`. Raises whatever else ends Kopf, and WatchDead when it stands still."""
        # A daemon thread, so that a Kopf that does not end cannot keep the process from ending.
        self._thread.start()
        beats, missed = 0, 0
        while not await self._has_ended(_BEAT):
            # Counted in beats of both loops: where the whole process stood still, Kopf is not to blame.
            beats, missed = self._beats, missed + 1 if self._beats == beats else 0
            if missed > _MISSED:
                self._end(WatchDead(f"the event loop of the watches has stood still for {missed * _BEAT:g} s"))
        if self._error is not None:
            raise self._error

    async def stop(self, limit: float) -> None:
        """Ask Kopf to end and wait for it for at most `limit` seconds."""
        self._stop.set()
        # A Kopf that failed may hang in its own shutdown.
        if self._thread.is_alive() and self._error is None and not await self._has_ended(limit):
            _log.warning("The watches did not end within %g s", limit)

    async def _has_ended(self, seconds: float) -> bool:
        """Wait that long for the end."""
        try:
            async with asyncio.timeout(seconds):
                await self._ended.wait()
        except TimeoutError:
            return False
        return True

    def _end(self, error: BaseException | None) -> None:
        """The first to call this says why."""
        if not self._ended.is_set():
            self._error = error
            self._ended.set()
        self._stop.set()  # otherwise the thread in which Kopf waits for this flag would outlive it

    # --- in Kopf's thread ---------------------------------------------------------------------------------------

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            asyncio.run(self._operate())
        except BaseException as raised:  # the main thread raises it
            error = raised
        self._tell(self._end, error)

    async def _operate(self) -> None:
        # Kopf cancels every task of its loop that is younger than its own.
        beating = asyncio.create_task(self._beat())
        known = asyncio.all_tasks()
        tasks = await kopf.spawn_tasks(
            registry=self._registry(),
            settings=self._settings,
            standalone=True,
            clusterwide=not self._namespaces,
            namespaces=self._namespaces,
            stop_flag=self._stop,
        )
        for task in tasks:
            task.add_done_callback(self._root_ended)
        await kopf.run_tasks(tasks, ignored=known)
        beating.cancel()

    async def _beat(self) -> None:
        while True:
            self._beats += 1
            await asyncio.sleep(_BEAT / 2)

    def _root_ended(self, task: asyncio.Task[Any]) -> None:
        """One of Kopf's tasks that never end has: with it go all the others, but Kopf may hang before it says so."""
        if not self._stop.is_set():
            error = None if task.cancelled() else task.exception()
            self._tell(self._end, error or WatchDead(f"Kopf's {task.get_name()} has ended"))

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
            self._tell(self._deliver, scope, event["type"], body)

        return handle

    async def _login(self, **_: Any) -> kopf.AiohttpSession:
        session = self._api.session(Guard(self._scopes, self), Response)
        return kopf.AiohttpSession(server=self._api.server, aiohttp_session=session)

    def listed(self, scope: Scope) -> None:
        """See `kopf_session.Sink`, also for the following."""
        self._tell(self._freshness.listed, scope)

    def opened(self, scope: Scope) -> None:
        """A stream is open."""
        self._tell(self._freshness.opened, scope)

    def unreadable(self, scope: Scope, reason: str) -> None:
        """Count it."""
        self._metrics.unreadable.labels(scope.kind.plural, reason).inc()

    async def failed(self, scope: Scope, status: int, message: str) -> None:
        """Report it, and wait for the scope's back-off."""

        async def fail() -> float:
            return self._freshness.failed(scope, status, message)

        await asyncio.sleep(await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(fail(), self._loop)))

    def _tell(self, function: Callable[..., None], *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the main event loop may have ended meanwhile
            self._loop.call_soon_threadsafe(function, *arguments)

    # ------------------------------------------------------------------------------------------------------------

    def _deliver(self, scope: Scope, type_: str | None, body: dict[str, Any]) -> None:
        self._freshness.event(scope)
        self._on_event(type_, body)
