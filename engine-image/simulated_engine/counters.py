"""Counters and histograms of requests, for /metrics."""

from __future__ import annotations

from .config import Buckets
from .histogram import Histogram
from .scheduler import Job

__all__ = ["BY_STREAMING", "Counters", "ModeCounters"]

BY_STREAMING = {"false": False, "true": True}
"""Values of SGLang's is_streaming label."""

QUEUE_BUCKETS = (
    *(0.0, 0.001, 0.005, 0.010, 0.050, 0.100, 0.200, 0.500, 1, 2, 3, 4, 5, 10, 15, 20, 30, 40, 50, 60, 70, 80, 90),
    *(100, 200, 300, 400, 500, 600, 700, 800, 900, 1000, 1200, 1400, 1600, 1800, 2000, 2500, 3000),
)
"""Seconds in the queue; SGLang's bounds."""

LENGTH_BUCKETS = (
    *(100, 300, 500, 700, 1000, 1500, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000, 10000, 12500, 15000, 17500),
    *(20000, 22500, 25000, 27500, 30000, 35000, 40000, 60000, 80000, 100000, 200000, 300000, 400000, 600000),
    *(800000, 1000000, 1100000),
)
"""Tokens per prompt or answer; SGLang's bounds."""


class ModeCounters:
    """Counts that SGLang keeps apart for streamed and plain requests."""

    def __init__(self, buckets: Buckets) -> None:
        self.prompt_tokens = 0
        self.generation_tokens = 0
        self.requests = 0
        self.time_to_first_token = Histogram(buckets.time_to_first_token)
        self.time_per_output_token = Histogram(buckets.inter_token_latency)
        self.e2e_latency = Histogram(buckets.e2e_request_latency)


class Counters:
    """Counters and histograms since the start. Latencies in seconds."""

    def __init__(self, buckets: Buckets) -> None:
        self.modes = {streaming: ModeCounters(buckets) for streaming in BY_STREAMING.values()}
        self.aborted = 0
        self.cached_tokens = 0
        self.queue_time = Histogram(QUEUE_BUCKETS)
        self.inter_token_latency = Histogram(buckets.inter_token_latency)
        self.prompt_length = Histogram(LENGTH_BUCKETS)
        self.generation_length = Histogram(LENGTH_BUCKETS)

    def count_admitted(self, job: Job, streaming: bool) -> None:
        """Count a job that got its slot; its first token's moment is known from here on."""
        self.queue_time.observe(job.admitted - job.arrived)
        self.cached_tokens += job.cached_tokens
        self.modes[streaming].time_to_first_token.observe(job.first_token_at - job.arrived)

    def count_finished(self, job: Job, tokens: int, now: float, streaming: bool) -> None:
        """Count a job that ended with this many tokens at this moment of the loop's clock."""
        mode = self.modes[streaming]
        mode.requests += 1
        mode.prompt_tokens += job.prompt_tokens
        mode.generation_tokens += tokens
        mode.e2e_latency.observe(now - job.arrived)
        if tokens > 1:
            gap = max(0.0, now - job.first_token_at) / (tokens - 1)
            mode.time_per_output_token.observe(gap)
            self.inter_token_latency.observe(gap, tokens - 1)
        self.prompt_length.observe(job.prompt_tokens)
        self.generation_length.observe(tokens)
