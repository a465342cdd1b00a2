"""How fresh each watch is, whether its listing has to be repeated, and what may not be watched."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from heterollm_operator.kube.kinds import Scope

__all__ = ["Freshness"]

_log = logging.getLogger(__name__)

_BASE, _LONGEST = 0.5, 15.0
"""Seconds of back-off after the first refusal of a scope, doubled with every further one, and at most."""

_PASSING = 5
"""Failures in a row of a server that is busy or broken (410, 429, 5xx) before they count as a refusal."""


class Freshness:
    """Signs of life of every watch.

    Kopf reports no deletion that happened between two of its listings, and does not say when it has delivered a
    listing. So each time it has listed a collection and opened the stream after it, the collection is listed once
    more by ourselves: what that listing lacks is gone, and everything later comes by the stream.

    A scope that the API server refuses is that scope's affair. What it holds is unknown from then on, until it has
    been listed again; an answer that refuses is a sign of life all the same.
    """

    def __init__(self, scopes: Iterable[Scope], monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._alive: dict[Scope, float | None] = dict.fromkeys(scopes)
        self._listed: set[Scope] = set()
        self._unverified = set(self._alive)
        self._refused: dict[Scope, str] = {}
        self._failures: dict[Scope, int] = {}
        self.complete = asyncio.Event()
        """Set once everything that may be listed has been: this replica sees what there is."""
        self._due: Callable[[Scope], None] = lambda _: None
        self._seen: Callable[[Scope], None] = lambda _: None

    def on_due(self, callback: Callable[[Scope], None]) -> None:
        """Who is told that a collection has to be listed again."""
        self._due = callback

    def on_seen_again(self, callback: Callable[[Scope], None]) -> None:
        """Who is told that a collection that was refused is complete again."""
        self._seen = callback

    def event(self, scope: Scope) -> None:
        """The stream delivered something."""
        self._alive[scope] = self._monotonic()

    def listed(self, scope: Scope) -> None:
        """Kopf listed the collection: what was deleted since its stream broke is missing silently."""
        self._listed.add(scope)

    def opened(self, scope: Scope) -> None:
        """Kopf opened a stream."""
        self.event(scope)
        self._failures.pop(scope, None)
        if scope in self._listed or scope in self._refused:
            self._listed.discard(scope)
            self._due(scope)

    def verified(self, scope: Scope) -> None:
        """The repeated listing is in the store."""
        self._unverified.discard(scope)
        if self._refused.pop(scope, None) is not None:
            _log.info("Watching %s again", scope.path)
            self._seen(scope)
        self._judge()

    def failed(self, scope: Scope, status: int, message: str) -> float:
        """The API server answered a listing or a watch with an error. Returns the seconds to wait before the next."""
        self.event(scope)
        failures = self._failures[scope] = self._failures.get(scope, 0) + 1
        passing = status in (410, 429) or status >= 500
        if not passing or failures >= _PASSING:
            if scope not in self._refused:
                _log.error("Cannot watch %s, whose objects count as unknown: %s", scope.path, message)
            self._refused[scope] = message
            self._judge()
        return min(_LONGEST, _BASE * 2.0 ** min(failures - 1, 10))

    @property
    def refused(self) -> dict[Scope, str]:
        """Scopes that the API server refuses, and its words."""
        return dict(sorted(self._refused.items()))

    @property
    def sees_nothing(self) -> bool:
        """Whether every scope is refused."""
        return len(self._refused) == len(self._alive)

    @property
    def unverified(self) -> list[Scope]:
        """Collections that have never been complete yet, though nothing refuses them; empty means ready."""
        return sorted(self._unverified - self._refused.keys())

    def unknown(self, namespace: str) -> list[Scope]:
        """The scopes of a namespace of whose objects nobody knows whether they exist."""
        unknown = self._unverified | self._refused.keys()
        return sorted(scope for scope in unknown if scope.namespace in (None, namespace))

    def ages(self) -> dict[Scope, float | None]:
        """Seconds since each watch's last sign of life; None for one that never opened."""
        now = self._monotonic()
        return {scope: None if last is None else now - last for scope, last in self._alive.items()}

    def _judge(self) -> None:
        if not self.unverified:
            self.complete.set()
