"""How long the imitated engine takes: time to first token, time per token, admission rate, slots, KV capacity.

The profiles are the project's requirement R9. Its 18 requests/s at 97 ms would mean 1.7 requests in flight, that is no
batching, so its latencies are read as *time to first token* and its rates as the rate at which an engine can start
(prefill) requests. Time per output token, slots and answer length are not in R9; they are plausible round figures.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

__all__ = ["PROFILES", "LatencyModel", "Profile", "first_token_share"]

Z99 = 2.3263478740408408
"""The 99th percentile of the standard normal distribution."""


@dataclass(frozen=True)
class Profile:
    """The speed of one engine. Times in seconds, rates per second, sizes in tokens."""

    ttft_p50: float
    ttft_p99: float
    seconds_per_token: float
    requests_per_second: float
    """How many requests it can start per second; 0 means without limit."""
    slots: int
    kv_tokens: int


PROFILES = {
    "small": Profile(0.025, 0.045, 0.008, 180.0, 256, 745_709),
    "large": Profile(0.095, 0.150, 0.025, 18.0, 128, 2_130_000),
    "instant": Profile(0.0, 0.0, 0.0, 0.0, 1024, 1_000_000),
}
"""``small`` and ``large`` are R9's reference tiers; ``instant`` answers at once, for tests of everything else."""


ALWAYS_NEEDED = 0.1
"""Share of the time to first token that no cache saves: tokenizing, scheduling, one step of the model."""


def first_token_share(cached: int, prompt: int) -> float:
    """Share of the time to first token that is left when so many of the prompt's tokens are cached."""
    return 1 - (1 - ALWAYS_NEEDED) * cached / max(1, prompt)


class LatencyModel:
    """Times to first token: the lognormal distribution that has the given p50 and p99 (seconds)."""

    def __init__(self, p50: float, p99: float) -> None:
        self._median = p50
        self._sigma = math.log(p99 / p50) / Z99 if p50 > 0 else 0.0

    def draw(self, source: random.Random) -> float:
        """Seconds from admission to the first token of a request."""
        return self._median * math.exp(self._sigma * source.gauss(0.0, 1.0))
