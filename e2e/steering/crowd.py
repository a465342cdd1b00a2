"""Many clients at once, each sending one request after the other; how many there are can be changed at any time."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any

import aiohttp

from e2e.scenarios.load import Outcome, engine_in
from e2e.steering.background import Background

__all__ = ["Crowd"]

_TIMEOUT = aiohttp.ClientTimeout(total=120)
_LOOK_SECONDS = 0.1


class Crowd(Background):
    """Requests for `model`, by default non-streamed ones; times are seconds since 1970, as in the journal."""

    def __init__(self, url: str, model: str, pause: float = 0.1) -> None:
        """`pause`: seconds between an answer and the next request of the same client."""
        super().__init__()
        self.answers: list[Outcome] = []
        self._url, self._model, self._pause = url, model, pause
        self._clients = 0
        self._numbers = itertools.count()

    def resize(self, clients: int) -> None:
        """From now on so many clients."""
        self._clients = clients

    @property
    def failures(self) -> list[Outcome]:
        """Requests that got anything but a whole answer."""
        return [answer for answer in self.answers if answer.status != 200]

    def tiers(self, since: float) -> set[str]:
        """Tiers that answered requests sent after `since` (seconds since 1970)."""
        return {answer.tier for answer in self.answers if answer.sent > since}

    def body(self, number: int) -> dict[str, Any]:
        """What is sent. Another text each time: requests of one prefix stay on one engine."""
        message = {"role": "user", "content": f"Question {number}"}
        return {"model": self._model, "messages": [message], "max_tokens": 32}

    def run(self) -> None:
        """Send, as long as the block runs."""
        asyncio.run(self._run())

    async def _run(self) -> None:
        async with aiohttp.ClientSession(timeout=_TIMEOUT, connector=aiohttp.TCPConnector(limit=0)) as session:
            tasks: list[asyncio.Task[None]] = []
            while not self.ended.is_set():
                while len(tasks) < self._clients:
                    tasks.append(asyncio.create_task(self._client(session, len(tasks))))
                tasks = [task for task in tasks if not task.done()]
                await asyncio.sleep(_LOOK_SECONDS)
            await asyncio.gather(*tasks)

    async def _client(self, session: aiohttp.ClientSession, number: int) -> None:
        while number < self._clients and not self.ended.is_set():
            self.answers.append(await self._ask(session))
            await asyncio.sleep(self._pause)

    async def _ask(self, session: aiohttp.ClientSession) -> Outcome:
        sent, begun = time.time(), time.monotonic()
        body = self.body(next(self._numbers))
        try:
            async with session.post(f"{self._url}/v1/chat/completions", json=body) as answer:
                text = await answer.text()
                tier = answer.headers.get("x-llm-tier", "")
                took = time.monotonic() - begun
                return Outcome(sent, took, answer.status, tier, engine_in(text), text[:200])
        except (aiohttp.ClientError, TimeoutError) as error:
            return Outcome(sent, time.monotonic() - begun, 0, "", "", repr(error))
