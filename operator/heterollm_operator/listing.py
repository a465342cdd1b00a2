"""Complete listings, which close the gaps that a watch leaves."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from heterollm_operator.client import Api, ApiError
from heterollm_operator.clock import Clock
from heterollm_operator.freshness import Freshness
from heterollm_operator.kinds import CLUSTER, Scope, scopes
from heterollm_operator.store import Store
from heterollm_operator.watch import SELECTOR

__all__ = ["Lister"]

_log = logging.getLogger(__name__)

_TIMEOUT = 30.0
_PAUSE = 2.0
_CHUNK = 500


class Lister:
    """Lists what `Freshness` asks for, into the store."""

    def __init__(self, api: Api, store: Store, freshness: Freshness, clock: Clock, namespaces: tuple[str, ...]) -> None:
        self._api = api
        self._store = store
        self._freshness = freshness
        self._clock = clock
        self._scopes = scopes(namespaces)
        self._due: asyncio.Queue[Scope] = asyncio.Queue()
        freshness.on_due(self._due.put_nowait)

    async def wait_served(self) -> None:
        """Wait until every kind can be listed: Kopf would silently leave out a kind that is missing at its start."""
        complaint = ""
        for scope in self._scopes:
            while True:
                try:
                    await self._page(scope, {"limit": 1})
                    break
                except ApiError as error:
                    if str(error) != complaint:
                        _log.warning("Cannot list %s: %s", scope.path, error)
                    complaint = str(error)
                    await self._clock.sleep(_PAUSE)

    async def run(self) -> None:
        """List what becomes due, for ever."""
        while True:
            scope = await self._due.get()
            try:
                await self._list(scope)
            except ApiError as error:
                _log.warning("Cannot list %s: %s", scope.path, error)
                await self._clock.sleep(_PAUSE)
                self._due.put_nowait(scope)

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
        selector = {} if scope.kind == CLUSTER else {"labelSelector": SELECTOR}
        return await self._api.request("GET", scope.path, query={**query, **selector}, limit=_TIMEOUT)
