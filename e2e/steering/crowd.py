"""Many clients at once, each sending one request after the other; how many there are can be changed at any time."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import aiohttp

__all__ = ["Answered", "Crowd"]

_TIMEOUT = aiohttp.ClientTimeout(total=120)
_LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Answered:
    """One request: when it was sent (seconds since 1970), how long it took, its status (0: none), who answered."""

    sent: float
    seconds: float
    status: int
    tier: str
    text: str


@dataclass
class Crowd:
    """Non-streamed requests for the tier `model`, for as long as the `with` block runs."""

    url: str
    model: str
    pause: float = 0.1
    """Seconds between an answer and the next request of the same client."""
    answers: list[Answered] = field(default_factory=list)
    _clients: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _count: Any = field(default_factory=itertools.count)

    def __enter__(self) -> Crowd:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def resize(self, clients: int) -> None:
        """From now on so many clients."""
        self._clients = clients

    @property
    def failures(self) -> list[Answered]:
        """Requests that got anything but a whole answer."""
        return [answer for answer in self.answers if answer.status != 200]

    def tiers(self, since: float) -> set[str]:
        """Tiers that answered requests sent after `since` (seconds since 1970)."""
        return {answer.tier for answer in self.answers if answer.sent > since}

    async def _run(self) -> None:
        async with aiohttp.ClientSession(timeout=_TIMEOUT, connector=aiohttp.TCPConnector(limit=0)) as session:
            tasks: list[asyncio.Task[None]] = []
            while not self._stop.is_set():
                while len(tasks) < self._clients:
                    tasks.append(asyncio.create_task(self._client(session, len(tasks))))
                tasks = [task for task in tasks if not task.done()]
                await asyncio.sleep(_LOOK_SECONDS)
            await asyncio.gather(*tasks)

    async def _client(self, session: aiohttp.ClientSession, number: int) -> None:
        while number < self._clients and not self._stop.is_set():
            self.answers.append(await self._ask(session))
            await asyncio.sleep(self.pause)

    async def _ask(self, session: aiohttp.ClientSession) -> Answered:
        sent, begun = time.time(), time.monotonic()
        # Another text each time: requests of one prefix stay on one engine.
        message = {"role": "user", "content": f"Question {next(self._count)}"}
        body = {"model": self.model, "messages": [message], "max_tokens": 32}
        try:
            async with session.post(f"{self.url}/v1/chat/completions", json=body) as answer:
                text = await answer.text()
                tier = answer.headers.get("x-llm-tier", "")
                return Answered(sent, time.monotonic() - begun, answer.status, tier, text[:200])
        except (aiohttp.ClientError, TimeoutError) as error:
            return Answered(sent, time.monotonic() - begun, 0, "", repr(error))
