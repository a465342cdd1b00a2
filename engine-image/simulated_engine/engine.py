"""One imitated engine: its status, and the way of a request through faults, queue, slot and counters."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum

from .config import Config
from .counters import Counters
from .errors import ApiError
from .faults import Fault, FaultPlan
from .generation import AnswerSampler, Generation, Request, SampledAnswer
from .performance import first_token_share
from .prefix_cache import PrefixCache
from .scheduler import Job, QueueFull, Scheduler

__all__ = ["Engine", "State"]

log = logging.getLogger(__name__)


class State(Enum):
    """SGLang's server status."""

    STARTING = "Starting"
    UP = "Up"
    UNHEALTHY = "UnHealthy"


class Engine:
    """The parts of an engine, and its status."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.scheduler = Scheduler(config.profile, config.max_queued_requests)
        self.prefix_cache = PrefixCache(config.prefix_cache_tokens)
        self.counters = Counters(config.buckets)
        self.faults = config.faults or FaultPlan()
        self.state = State.STARTING
        self.draining = False
        self._in_flight = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._sampler = AnswerSampler(config)

    @property
    def started(self) -> bool:
        """Whether start-up is over."""
        return self.state is not State.STARTING

    @property
    def health_generates(self) -> bool:
        """Whether /health generates a token; SGLang's environment variable turns that off."""
        return os.environ.get("SGLANG_ENABLE_HEALTH_ENDPOINT_GENERATION", "true").lower() not in ("false", "0")

    @property
    def healthy(self) -> bool:
        """Started, not stuck, not shutting down."""
        return self.state is State.UP and not self.draining

    @property
    def ready(self) -> bool:
        """Whether new requests should be sent here."""
        return self.healthy and not self.scheduler.paused

    @asynccontextmanager
    async def serve(self, request: Request, streaming: bool) -> AsyncIterator[Generation]:
        """Serve one request: queue it, give it a slot, and count it however it ends.

        Raises ApiError when it is refused, QueueFull when there is no room to wait, Aborted when it is aborted
        before it got its slot.
        """
        self._check_length(request)
        clock = asyncio.get_running_loop().time
        sampled = self._sampler.sample(request)
        fault = self._end_at_once(self.faults.pick(sampled.fault_position))
        generation = self._prepare(request, sampled, fault, clock())
        finished = False
        self._in_flight += 1
        self._quiet.clear()
        try:
            with self.scheduler.hold(generation.job):
                await self.scheduler.admission(generation.job)
                self.counters.count_admitted(generation.job, streaming)
                if fault is Fault.HANG:
                    await self.scheduler.forever(generation.job)
                yield generation
                finished = generation.finish_reason != "abort"
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._quiet.set()
            if finished:
                self.counters.count_finished(generation.job, len(generation.tokens), clock(), streaming)
            else:
                self.counters.aborted += 1

    async def produces_a_token(self) -> bool:
        """Whether the engine gets a token out within the health time-out; takes as long as the real check."""
        # The real server looks once a second, and gives up after SGLANG_HEALTH_CHECK_TIMEOUT.
        limit = float(os.environ.get("SGLANG_HEALTH_CHECK_TIMEOUT", "20"))
        await asyncio.sleep((limit if self.faults.stuck else 1.0) * self.config.time_scale)
        if self.faults.stuck:
            self.state = State.UNHEALTHY
            self._quiet.set()
        else:
            self.state = State.UP
        return self.state is State.UP

    async def drained(self) -> None:
        """Wait until no request is left; an engine found stuck is not waited for."""
        while self._in_flight and self.state is not State.UNHEALTHY:
            await self._quiet.wait()

    def _check_length(self, request: Request) -> None:
        limit = min(self.config.context_length, self.config.profile.kv_tokens)
        if request.prompt_tokens >= limit:
            raise ApiError(400, f"The prompt has {request.prompt_tokens} tokens; the context length is {limit} tokens.")
        if request.max_tokens is not None and request.prompt_tokens + request.max_tokens > limit:
            raise ApiError(
                400,
                f"The prompt's {request.prompt_tokens} tokens and {request.max_tokens} new ones exceed the "
                f"context length of {limit} tokens.",
            )

    def _end_at_once(self, fault: Fault) -> Fault:
        """End the request or the process if the fault does so; return any other fault."""
        if fault is Fault.CRASH:
            log.error("simulated fault: crash")
            os._exit(1)
        if fault is Fault.ERROR:
            raise ApiError(self.faults.error_status, "Simulated fault: error.", "InternalServerError")
        if fault is Fault.QUEUE_FULL:
            raise QueueFull
        return fault

    def _prepare(self, request: Request, sampled: SampledAnswer, fault: Fault, now: float) -> Generation:
        factor = self.faults.latency_factor
        empty = fault is Fault.EMPTY
        tokens = [] if empty else sampled.tokens
        cached = min(self.prefix_cache.read(request.prompt), request.prompt_tokens)
        job = Job(
            rid=request.rid,
            prompt_tokens=request.prompt_tokens,
            output_tokens=len(tokens),
            first_token_delay=sampled.first_token_delay * factor * first_token_share(cached, request.prompt_tokens),
            seconds_per_token=self.config.profile.seconds_per_token * factor,
            arrived=now,
            cached_tokens=cached,
        )
        reported = cached if self.config.cache_report else None
        return Generation(job, tokens, "stop" if empty else sampled.finish_reason, self.scheduler, reported)
