"""How fresh each watch is, and whether its listing has to be repeated."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from heterollm_operator.kinds import Scope

__all__ = ["Freshness"]


class Freshness:
    """Signs of life of every watch.

    Kopf reports no deletion that happened between two of its listings, and does not say when it has delivered a
    listing. So each time it has listed a collection and opened the stream after it, the collection is listed once
    more by ourselves: what that listing lacks is gone, and everything later comes by the stream.
    """

    def __init__(self, scopes: Iterable[Scope], monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._alive: dict[Scope, float | None] = dict.fromkeys(scopes)
        self._listed: set[Scope] = set()
        self._unverified = set(self._alive)
        self.complete = asyncio.Event()
        """Set once everything has been listed: this replica sees what there is."""
        self._due: Callable[[Scope], None] = lambda _: None

    def on_due(self, callback: Callable[[Scope], None]) -> None:
        """Who is told that a collection has to be listed again."""
        self._due = callback

    def event(self, scope: Scope) -> None:
        """The stream delivered something."""
        self._alive[scope] = self._monotonic()

    def listed(self, scope: Scope) -> None:
        """Kopf listed the collection: what was deleted since its stream broke is missing silently."""
        self._listed.add(scope)

    def opened(self, scope: Scope) -> None:
        """Kopf opened a stream."""
        self.event(scope)
        if scope in self._listed:
            self._listed.discard(scope)
            self._due(scope)

    def verified(self, scope: Scope) -> None:
        """The repeated listing is in the store."""
        self._unverified.discard(scope)
        if not self._unverified:
            self.complete.set()

    @property
    def unverified(self) -> list[Scope]:
        """Collections that have never been complete yet; empty means ready."""
        return sorted(self._unverified)

    def ages(self) -> dict[Scope, float | None]:
        """Seconds since each watch's last sign of life; None for one that never opened."""
        now = self._monotonic()
        return {scope: None if last is None else now - last for scope, last in self._alive.items()}
