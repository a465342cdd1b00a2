"""The imitated scheduler: a queue in front of slots and KV memory, filled at the rate an engine can start requests.

Time is the event loop's; nothing runs between two events, so an idle engine costs nothing and gauges are computed when
they are read.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from .performance import Profile

__all__ = ["Aborted", "Job", "QueueFull", "Scheduler"]

BURST_SECONDS = 0.02
"""How far the start rate may catch up after an idle moment: an engine prefills a few waiting requests together."""


class QueueFull(Exception):
    """The waiting queue has its largest length."""


class Aborted(Exception):
    """The request was aborted by /abort_request or by a pause."""


@dataclass(slots=True, eq=False)
class Job:
    """One request on its way through the engine. Moments are seconds of the event loop's clock."""

    rid: str
    prompt_tokens: int
    output_tokens: int
    first_token_delay: float
    """Seconds from admission to the first token."""
    seconds_per_token: float
    arrived: float
    cached_tokens: int = 0
    """Tokens of the prompt's beginning that need not be read."""
    admitted: float = 0.0
    aborted: bool = False
    wakeup: asyncio.Future[None] | None = field(default=None, repr=False)

    @property
    def unread_share(self) -> float:
        """Share of the prompt that the engine has to read."""
        return 1 - self.cached_tokens / max(1, self.prompt_tokens)

    @property
    def first_token_at(self) -> float:
        """When the first token is due."""
        return self.admitted + self.first_token_delay

    @property
    def finished_at(self) -> float:
        """When the last token is due."""
        return self.token_at(max(1, self.output_tokens))

    def token_at(self, number: int) -> float:
        """When token ``number`` (from 1) is due."""
        return self.first_token_at + (number - 1) * self.seconds_per_token

    def tokens_by(self, now: float) -> int:
        """How many tokens are due at ``now``."""
        if not self.admitted or now < self.first_token_at:
            return 0
        if self.seconds_per_token <= 0:
            return self.output_tokens
        # The half step keeps a timer that fires on the dot from missing its own token by rounding.
        elapsed = (now - self.first_token_at) / self.seconds_per_token + 0.5
        return min(self.output_tokens, 1 + int(elapsed))

    def abort(self) -> None:
        """End the request at its next await."""
        self.aborted = True
        if self.wakeup is not None and not self.wakeup.done():
            self.wakeup.set_result(None)


class Scheduler:
    """Admits jobs first come first served while slots, KV tokens and the start rate allow."""

    def __init__(self, profile: Profile, max_queued: int | None) -> None:
        self._profile = profile
        self._max_queued = max_queued
        self._interval = 1 / profile.requests_per_second if profile.requests_per_second else 0.0
        self._next_start = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._queue: deque[Job] = deque()
        self._running: set[Job] = set()
        self._reserved = 0
        self._resumed = asyncio.Event()
        self._resumed.set()

    @property
    def queued(self) -> int:
        """Requests waiting."""
        return len(self._queue)

    @property
    def queued_tokens(self) -> int:
        """Prompt tokens of the requests waiting."""
        return sum(job.prompt_tokens for job in self._queue)

    @property
    def running(self) -> int:
        """Requests in a slot."""
        return len(self._running)

    @property
    def idle(self) -> bool:
        """Whether nothing waits or runs."""
        return not self._queue and not self._running

    @property
    def paused(self) -> bool:
        """Whether /pause_generation holds the engine."""
        return not self._resumed.is_set()

    @property
    def kv_used_tokens(self) -> int:
        """Tokens of KV memory that running requests hold now."""
        now = asyncio.get_running_loop().time()
        return sum(job.prompt_tokens + job.tokens_by(now) for job in self._running)

    @property
    def tokens_per_second(self) -> float:
        """Tokens that running requests produce per second now."""
        now = asyncio.get_running_loop().time()
        decoding = [job for job in self._running if job.tokens_by(now) and job.seconds_per_token > 0]
        return sum(1 / job.seconds_per_token for job in decoding)

    @contextmanager
    def hold(self, job: Job) -> Iterator[None]:
        """Queue the job; whatever happens to the caller, its place and memory are given back."""
        if self._max_queued is not None and len(self._queue) + 1 > self._max_queued:
            raise QueueFull
        self._queue.append(job)
        self._pump()
        try:
            yield
        finally:
            self._release(job)

    async def admission(self, job: Job) -> None:
        """Wait until the job has a slot."""
        while not job.admitted:
            await self._wait(job, None)

    async def forever(self, job: Job) -> None:
        """Wait for the abort of a job that hangs."""
        while True:
            await self._wait(job, None)

    async def until(self, job: Job, when: float) -> None:
        """Wait for a moment of the job's life; a paused engine stands still and its jobs finish later."""
        await self._wait(job, when)
        if self.paused:
            await self._resumed.wait()
            self._check(job)

    def pause(self, abort: bool) -> None:
        """Stop admitting and answering; ``abort`` ends what is there, otherwise it stands still."""
        self._resumed.clear()
        if abort:
            self.abort("", everything=True)

    def resume(self) -> None:
        """End a pause."""
        self._resumed.set()
        self._pump()

    def abort(self, prefix: str, everything: bool) -> None:
        """Abort the requests whose id starts with ``prefix``, as SGLang does, or all."""
        for job in [*self._queue, *self._running]:
            if everything or (prefix and job.rid.startswith(prefix)):
                job.abort()

    async def _wait(self, job: Job, when: float | None) -> None:
        self._check(job)
        loop = asyncio.get_running_loop()
        if when is not None and when <= loop.time():
            return
        job.wakeup = loop.create_future()
        timer = None if when is None else loop.call_at(when, _wake, job.wakeup)
        try:
            await job.wakeup
        finally:
            job.wakeup = None
            if timer is not None:
                timer.cancel()
        self._check(job)

    @staticmethod
    def _check(job: Job) -> None:
        if job.aborted:
            raise Aborted

    def _release(self, job: Job) -> None:
        if job in self._running:
            self._running.discard(job)
            self._reserved -= job.prompt_tokens + job.output_tokens
        else:
            self._queue.remove(job)
        self._pump()

    def _fits(self, job: Job) -> bool:
        if len(self._running) >= self._profile.slots:
            return False
        # An empty engine takes any request: one larger than the memory was refused on arrival.
        needed = job.prompt_tokens + job.output_tokens
        return not self._running or self._reserved + needed <= self._profile.kv_tokens

    def _pump(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._queue and not self.paused and self._fits(self._queue[0]):
            if self._next_start > now:
                self._pump_at(self._next_start)
                return
            job = self._queue.popleft()
            # What bounds the rate is reading prompts.
            self._next_start = max(self._next_start, now - BURST_SECONDS) + self._interval * job.unread_share
            self._start(job, now)

    def _start(self, job: Job, now: float) -> None:
        job.admitted = now
        self._running.add(job)
        self._reserved += job.prompt_tokens + job.output_tokens
        if job.wakeup is not None:
            _wake(job.wakeup)

    def _pump_at(self, when: float) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_at(when, self._pump_now)

    def _pump_now(self) -> None:
        self._timer = None
        self._pump()


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
