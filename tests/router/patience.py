"""Waiting for what another process does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

__all__ = ["eventually"]

_LIMIT = 10.0
"""Seconds."""


async def eventually(condition: Callable[[], Awaitable[bool]], limit: float = _LIMIT) -> None:
    """Look until it holds; other processes send no events, so this has to ask again and again."""
    async with asyncio.timeout(limit):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
