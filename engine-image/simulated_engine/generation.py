"""Generates answers: draws a made-up one for each request, and hands it out token by token as each falls due."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from . import made_up_text
from .config import Config
from .performance import LatencyModel
from .scheduler import Aborted, Job, Scheduler

__all__ = ["AnswerSampler", "Generation", "Request", "SampledAnswer"]


def _new_id() -> str:
    return uuid.uuid4().hex


@dataclass(frozen=True, slots=True)
class Request:
    """What the engine needs to know of a request, whichever endpoint it came through."""

    prompt_tokens: int
    max_tokens: int | None = None
    exact_length: bool = False
    """Produce exactly ``max_tokens`` tokens (SGLang's ignore_eos)."""
    rid: str = field(default_factory=_new_id)
    prompt: str = ""
    """The prompt's text, as far as it is text."""


@dataclass(frozen=True, slots=True)
class SampledAnswer:
    """All that chance decides about one request."""

    fault_position: float
    """Where it falls among the faults, in [0, 1)."""
    first_token_delay: float
    """Seconds."""
    tokens: list[str]
    finish_reason: str


class AnswerSampler:
    """Draws answers; deterministic by the seed and the order of arrival."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._latency = LatencyModel(config.profile.ttft_p50, config.profile.ttft_p99)
        self._arrivals = 0

    def sample(self, request: Request) -> SampledAnswer:
        """Draw for the next request."""
        self._arrivals += 1
        # A source per request: its options can then not shift what later requests draw.
        source = random.Random(f"{self._config.seed}/{self._arrivals}")
        position = source.random()
        delay = self._latency.draw(source)
        count, reason = self._length(request, source)
        return SampledAnswer(position, delay, made_up_text.tokens(source, self._config.identity, count), reason)

    def _length(self, request: Request, source: random.Random) -> tuple[int, str]:
        mean = self._config.output_tokens
        wish = source.randint((mean + 1) // 2, mean + mean // 2)
        room = self._config.context_length - request.prompt_tokens
        limit = room if request.max_tokens is None else request.max_tokens
        if request.exact_length or wish >= limit:
            return limit, "length"
        return wish, "stop"


@dataclass(slots=True)
class Generation:
    """The answer to a request that has a slot, as it is generated."""

    job: Job
    tokens: list[str]
    finish_reason: str
    scheduler: Scheduler
    cached_tokens: int | None = None
    """Tokens of the prompt that were cached; None when that is not reported."""
    sent: int = 0
    """Tokens handed out."""

    async def whole(self) -> str:
        """The complete text, when its last token is due; what there is when the request is aborted."""
        try:
            await self.scheduler.until(self.job, self.job.finished_at)
        except Aborted:
            self._cut()
        self.sent = len(self.tokens)
        return "".join(self.tokens)

    async def pieces(self) -> AsyncIterator[str]:
        """The text as it comes; tokens that are due together come together."""
        clock = asyncio.get_running_loop().time
        while self.sent < len(self.tokens):
            try:
                await self.scheduler.until(self.job, self.job.token_at(self.sent + 1))
            except Aborted:
                self._cut()
                return
            start, self.sent = self.sent, max(self.sent + 1, self.job.tokens_by(clock()))
            yield "".join(self.tokens[start : self.sent])

    def _cut(self) -> None:
        due = self.job.tokens_by(asyncio.get_running_loop().time())
        del self.tokens[max(due, self.sent) :]
        self.finish_reason = "abort"
