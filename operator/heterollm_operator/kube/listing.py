"""Complete listings, which close the gaps that a watch leaves."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from heterollm_operator.kube.client import Api, ApiError
from heterollm_operator.kube.freshness import Freshness
from heterollm_operator.kube.kinds import CLUSTER, WATCHED, Scope, scopes, version_path
from heterollm_operator.kube.store import Store
from heterollm_operator.kube.watch import selector_of
from heterollm_operator.runtime.clock import Clock

__all__ = ["Lister"]

_log = logging.getLogger(__name__)

_TIMEOUT = 30.0
_PAUSE = 2.0
_CHUNK = 100
"""Objects of a page: few enough for a page of the largest and deepest objects."""

_SIDE_BY_SIDE = 2
"""Listings under way at a time: each holds what it lists."""


class Lister:
    """Lists what `Freshness` asks for, into the store."""

    def __init__(self, api: Api, store: Store, freshness: Freshness, clock: Clock, namespaces: tuple[str, ...]) -> None:
        self._api = api
        self._store = store
        self._freshness = freshness
        self._clock = clock
        self._due = {scope: asyncio.Event() for scope in scopes(namespaces)}
        self._places = asyncio.Semaphore(_SIDE_BY_SIDE)
        freshness.on_due(lambda scope: self._due[scope].set())

    async def wait_served(self) -> None:
        """Wait until every kind is served: Kopf would silently leave out one that is missing at its start."""
        complaint = ""
        for version in dict.fromkeys(kind.api_version for kind in WATCHED):
            while problem := await self._missing(version):
                if problem != complaint:
                    _log.warning("Waiting for %s: %s", version, problem)
                complaint = problem
                await self._clock.sleep(_PAUSE)

    async def run(self) -> None:
        """List what becomes due, for ever. No scope waits for one that fails."""
        async with asyncio.TaskGroup() as group:
            for scope in self._due:
                group.create_task(self._keep(scope))

    async def _missing(self, version: str) -> str:
        """What of an API version is not served yet; empty when all is."""
        try:
            found = await self._api.request("GET", version_path(version), limit=_TIMEOUT)
        except ApiError as error:
            return str(error)
        served = {resource["name"] for resource in found["resources"]}
        return ", ".join(kind.plural for kind in WATCHED if kind.api_version == version and kind.plural not in served)

    async def _keep(self, scope: Scope) -> None:
        due = self._due[scope]
        while True:
            await due.wait()
            due.clear()
            try:
                async with self._places:
                    await self._list(scope)
            except ApiError as error:
                _log.warning("Cannot list %s: %s", scope.path, error)
                answered = error.status != 0
                pause = self._freshness.failed(scope, error.status, str(error)) if answered else _PAUSE
                due.set()
                await self._clock.sleep(pause)

    async def _list(self, scope: Scope) -> None:
        bodies: list[dict[str, Any]] = []
        query: dict[str, str | int] = {"limit": _CHUNK}
        while True:
            page = await self._page(scope, query)
            # The items of a list do not say what they are.
            kind = {"apiVersion": scope.kind.api_version, "kind": scope.kind.kind}
            bodies += [{**item, **kind} for item in page["items"]]
            metadata = page["metadata"]
            if not metadata.get("continue"):
                break
            query["continue"] = metadata["continue"]
        self._store.replace(scope, bodies, int(metadata["resourceVersion"]))
        self._freshness.verified(scope)

    async def _page(self, scope: Scope, query: dict[str, str | int]) -> dict[str, Any]:
        selector = {} if scope.kind == CLUSTER else {"labelSelector": selector_of(scope.kind)}
        return await self._api.request("GET", scope.path, query={**query, **selector}, limit=_TIMEOUT)
