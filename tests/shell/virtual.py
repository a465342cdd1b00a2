"""Virtual time: nothing waits, `advance` lets it pass."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 1, tzinfo=UTC)
_SETTLE = 30
"""Turns of the event loop after which every woken task has done all it can without more time."""


class VirtualClock:
    """A `heterollm_operator.runtime.clock.Clock` that stands still until told otherwise."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def monotonic(self) -> float:
        return self.now

    def utc(self) -> datetime:
        return START + timedelta(seconds=self.now)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, next(self._order), future))
        await future

    async def advance(self, seconds: float) -> None:
        """Let time pass, waking every sleeper at its moment."""
        end = self.now + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            when, _, future = heapq.heappop(self._sleepers)
            self.now = max(self.now, when)
            if not future.done():
                future.set_result(None)
            await settle()
        self.now = end


class SkewedClock:
    """The same time as another clock's, with a wall clock and a zero point of its own."""

    def __init__(self, clock: VirtualClock, wall: float, zero: float) -> None:
        self._clock = clock
        self._wall = wall
        self._zero = zero

    def monotonic(self) -> float:
        return self._clock.monotonic() + self._zero

    def utc(self) -> datetime:
        return self._clock.utc() + timedelta(seconds=self._wall)

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)


async def settle() -> None:
    """Let every task go on until it waits for time."""
    for _ in range(_SETTLE):
        await asyncio.sleep(0)
