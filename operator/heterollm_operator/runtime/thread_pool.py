"""Calls that block, in threads: few at a time, and none that could keep the process from ending."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

__all__ = ["Threads"]

T = TypeVar("T")


class Threads:
    """At most `limit` threads. One that hangs keeps its place, so that hung calls do not pile up."""

    def __init__(self, limit: int) -> None:
        self._places = asyncio.Semaphore(limit)

    async def call(self, function: Callable[[], T]) -> T:
        """What the function returns or raises. Whoever is cancelled leaves it to end by itself."""
        await self._places.acquire()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def end(settle: Callable[[Any], None], outcome: object) -> None:
            self._places.release()
            if not future.done():
                settle(outcome)

        def run() -> None:
            settle: Callable[[Any], None] = future.set_result
            outcome: object
            try:
                outcome = function()
            except Exception as error:
                settle, outcome = future.set_exception, error
            with suppress(RuntimeError):  # the loop may have ended meanwhile
                loop.call_soon_threadsafe(end, settle, outcome)

        # A daemon: those of concurrent.futures are waited for when the process ends.
        threading.Thread(target=run, name="blocking call", daemon=True).start()
        return await future
