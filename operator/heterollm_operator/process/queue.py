"""The work queue: de-duplicated, one worker per key, back-off per key, delayed keys. Knows nothing of Kubernetes."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["WorkQueue"]

K = TypeVar("K", bound=Hashable)


class WorkQueue(Generic[K]):
    """Keys to reconcile, in the order in which they became due.

    One worker at a time has a key; adding it meanwhile makes it due again afterwards. What happens shortly after a
    reconcile waits for the rest of its burst: `gap` seconds lie between two reconciles that events ask for.
    All times are seconds of `monotonic`; only `get` waits, and it waits by the event loop's clock.
    """

    def __init__(
        self, monotonic: Callable[[], float], base: float = 0.5, limit: float = 300.0, gap: float = 0.0
    ) -> None:
        """`base` is the first back-off, doubled with every failure in a row up to `limit`; all in seconds."""
        self._monotonic = monotonic
        self._base = base
        self._limit = limit
        self._gap = gap
        self._ready: dict[K, float] = {}
        self._busy: set[K] = set()
        self._again: set[K] = set()
        self._rests: dict[K, float] = {}
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._order = itertools.count()
        self._failures: dict[K, int] = {}
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        """Keys due now that no worker has taken."""
        self._promote()
        return len(self._ready)

    def add(self, key: K) -> None:
        """Something happened: the key is due, as soon as its rest is over."""
        if key in self._busy:
            self._again.add(key)
        else:
            self.add_after(key, self._rests.get(key, 0.0) - self._monotonic())

    def add_after(self, key: K, seconds: float) -> None:
        """The key is due in that many seconds (0 or less: now), unless it is due earlier anyway."""
        self._promote()
        when = self._monotonic() + max(seconds, 0.0)
        if key in self._ready or self._due.get(key, when + 1) <= when:
            return
        self._due[key] = when
        heapq.heappush(self._heap, (when, next(self._order), key))
        self._compact()
        self._wake.set()

    def take(self) -> tuple[K, float] | None:
        """The key due longest and the seconds it waited, or None. The caller must call `done` or `fail` for it."""
        self._promote()
        if not self._ready:
            return None
        key = next(iter(self._ready))
        since = self._ready.pop(key)
        self._busy.add(key)
        self._rests.pop(key, None)
        return key, self._monotonic() - since

    async def get(self) -> tuple[K, float]:
        """As `take`, but waits until a key is due."""
        while True:
            self._wake.clear()
            if (item := self.take()) is not None:
                return item
            # Several workers may wake for one key; those that find nothing wait again.
            try:
                async with asyncio.timeout(self.next_due()):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def done(self, key: K, after: float | None = None) -> None:
        """The reconcile succeeded; the next one is in `after` seconds unless something happens before.

        None says that the key has no future: nothing is remembered of it.
        """
        self._failures.pop(key, None)
        self._release(key)
        if after is None:
            self._rests.pop(key, None)
        else:
            self.add_after(key, after)

    def fail(self, key: K) -> float:
        """The reconcile failed: the next one is after the key's back-off, which is returned in seconds."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        seconds = min(self._base * 2.0 ** min(failures - 1, 32), self._limit)
        self._release(key)
        self.add_after(key, seconds)
        return seconds

    def next_due(self) -> float | None:
        """Seconds until a delayed key becomes due; None when there is none."""
        self._drop_stale()
        return max(0.0, self._heap[0][0] - self._monotonic()) if self._heap else None

    def _release(self, key: K) -> None:
        # A delay that has ended meanwhile is noticed now, whether anybody has asked since or not.
        self._promote()
        self._busy.remove(key)
        self._rests[key] = self._monotonic() + self._gap
        if key in self._again:
            self._again.remove(key)
            self.add(key)

    def _promote(self) -> None:
        """Move keys whose time has come to the ready ones; those in work stay until it is done."""
        while (seconds := self.next_due()) is not None and seconds <= 0:
            when, _, key = heapq.heappop(self._heap)
            del self._due[key]
            if key in self._busy:
                self._again.add(key)
            else:
                self._ready[key] = when

    def _compact(self) -> None:
        """Rebuild the heap once most of it is stale: without it, every reconcile would leave an entry for a resync."""
        if len(self._heap) > 2 * len(self._due) + 64:
            self._heap = [entry for entry in self._heap if self._due.get(entry[2]) == entry[0]]
            heapq.heapify(self._heap)

    def _drop_stale(self) -> None:
        """Forget heap entries whose key was added at once or moved to an earlier time."""
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
