"""Steady load: clients that ask one question after the other, and note what became of each."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass

import aiohttp

from tests.router.envoy import chat
from tests.router.patience import eventually

__all__ = ["Load", "Outcome"]


@dataclass(frozen=True)
class Outcome:
    """One request's fate as its client saw it."""

    status: int
    """0 when there was no whole answer."""
    tier: str
    attempts: int
    engine: str
    begun: float
    """Seconds of the loop's clock."""
    seconds: float


class Load:
    """Load for the length of an `async with`; at its end every client waits for its last answer."""

    def __init__(self, client: aiohttp.ClientSession, clients: int = 12, **request: object) -> None:
        self._client = client
        self._clients = clients
        self._request = request
        self._stopped = False
        self._tasks: list[asyncio.Task[None]] = []
        self.outcomes: list[Outcome] = []

    async def __aenter__(self) -> Load:
        self._tasks = [asyncio.create_task(self._run(number)) for number in range(self._clients)]
        return self

    async def __aexit__(self, *error: object) -> None:
        self._stopped = True
        await asyncio.gather(*self._tasks)

    async def more(self, count: int, **wanted: object) -> list[Outcome]:
        """Wait for so many more requests, begun from now on, that have these attributes; all that ended meanwhile."""
        start, now = len(self.outcomes), asyncio.get_running_loop().time()

        async def enough() -> bool:
            fresh = [outcome for outcome in self.outcomes[start:] if outcome.begun >= now]
            return sum(all(getattr(o, name) == value for name, value in wanted.items()) for o in fresh) >= count

        await eventually(enough)
        return self.outcomes[start:]

    @property
    def statuses(self) -> Counter[int]:
        """How often each status was seen."""
        return Counter(outcome.status for outcome in self.outcomes)

    async def _run(self, number: int) -> None:
        count = 0
        while not self._stopped:
            count += 1
            self.outcomes.append(await self._one(f"client {number}, request {count}"))

    async def _one(self, text: str) -> Outcome:
        clock = asyncio.get_running_loop().time
        begun = clock()
        try:
            async with self._client.post("/v1/chat/completions", json=chat(text) | self._request) as answer:
                body = await answer.json()
                return Outcome(
                    answer.status,
                    answer.headers.get("x-llm-tier", ""),
                    int(answer.headers["x-llm-attempts"]),
                    body.get("metadata", {}).get("engine", ""),
                    begun,
                    clock() - begun,
                )
        except (aiohttp.ClientError, TimeoutError):
            return Outcome(0, "", 0, "", begun, clock() - begun)
