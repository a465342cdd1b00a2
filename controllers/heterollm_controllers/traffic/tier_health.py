"""Whether a tier fails: judged from what its requests met, never from silence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from heterollm_controllers.api.signals import PodSignal, TierSignal
from heterollm_controllers.api.v1alpha1.fallback import Fallback
from heterollm_controllers.metrics.tier_metrics import TierMetrics
from heterollm_controllers.observation.tier_state import TierState

__all__ = ["Health", "Judgement", "judge"]

COUNTED_SECONDS = 30
"""Requests are counted over this time (R18)."""
EXPLAINED = 0.5
"""Share of the time from which a request is slow that the queue must take for slowness to be explained by it: what
waits now is fewer than what those had before them that are answered now."""
FULL_CACHE = 0.9
"""Use of the KV cache from which an engine has all that it can work on."""
STUCK = 0.05
"""Share of its rate below which a full engine is stuck, whatever its requests are like."""
LATELY = 3
"""Minutes of history in which what is answered now may have waited."""
_LOAD = frozenset({PodSignal.QUEUE, PodSignal.RUNNING, PodSignal.KV_USE, PodSignal.AGE})
"""What tells a busy tier from a sick one."""


class Health(Enum):
    """How a tier does."""

    FINE = "fine"
    FAILING = "failing"
    IDLE = "idle"
    """Too few requests to tell."""
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Judgement:
    """How a tier does, and why.

    Attributes:
        requests: how many of the last 30 seconds that rests on.
        why: the metrics in words.
        window: seconds over which the metrics were taken.
        percent: of those requests that failed or were slow.
    """

    health: Health
    requests: float
    why: str
    window: float = 30.0
    percent: float = 0.0

    @property
    def fails(self) -> bool:
        """Whether it is known to fail."""
        return self.health is Health.FAILING

    @property
    def known(self) -> bool:
        """Whether there are metrics at all."""
        return self.health is not Health.UNKNOWN


def judge(
    tier_state: TierState, metrics: TierMetrics, settings: Fallback, fewest: int, others: Sequence[TierMetrics] = ()
) -> Judgement:
    """How a tier does.

    Args:
        fewest: requests that are needed to conclude that it fails.
        others: metrics of the tiers that it stands in for, whose diverted requests count as its own.
    """
    tried, failed = metrics.rate(TierSignal.TRIED), metrics.rate(TierSignal.FAILED)
    if tried is None or failed is None:
        return Judgement(Health.UNKNOWN, 0.0, "no figures of the routers")
    tried += sum(other.rate(TierSignal.DIVERTED) or 0.0 for other in others)
    failed += sum(other.rate(TierSignal.DIVERTED_FAILED) or 0.0 for other in others)
    requests = tried * COUNTED_SECONDS
    if tier_state.lost:
        return Judgement(Health.FAILING, requests, "none of its engines serves any more", metrics.window, 100.0)
    if not tier_state.available:
        return Judgement(Health.IDLE, requests, "none of its engines serves yet", metrics.window)
    if requests < fewest:
        return Judgement(Health.IDLE, requests, f"{requests:.0f} requests in {COUNTED_SECONDS} s", metrics.window)
    slow = _slow_share(tier_state, metrics, settings)
    bad = min(failed, tried) + max(tried - failed, 0.0) * (slow or 0.0)
    percent = 100 * bad / tried
    why = f"{percent:.0f} % of {requests:.0f} requests in {COUNTED_SECONDS} s failed or were slow"
    if percent >= settings.failed_percent:
        return Judgement(Health.FAILING, requests, why, metrics.window, percent)
    if slow is None:
        return Judgement(Health.UNKNOWN, requests, "nobody knows how many of its answers were slow", metrics.window)
    return Judgement(Health.FINE, requests, why, metrics.window, percent)


def _slow_share(tier_state: TierState, metrics: TierMetrics, settings: Fallback) -> float | None:
    """Share of the answers that were slow though the tier was not busy; None where that is not known."""
    answered, slow = metrics.rate(TierSignal.ANSWERED), metrics.rate(TierSignal.SLOW)
    if answered is None or slow is None:
        return None
    if not answered or not slow:
        return 0.0
    if metrics.unanswered & _LOAD and not tier_state.external:
        return None
    return 0.0 if is_busy(tier_state, metrics, settings) else min(slow / answered, 1.0)


def is_busy(tier_state: TierState, metrics: TierMetrics, settings: Fallback) -> bool:
    """Whether a tier is slow because it has much to do, or had while what it answers now was waiting.

    Then it has to grow. Another tier that took its requests would be no less busy.
    """
    if tier_state.external:
        return False  # it says nothing of its load
    answered, queue = metrics.rate(TierSignal.ANSWERED) or 0.0, metrics.queue or 0.0
    if _is_stuck(tier_state, metrics, answered):
        return False
    if queue and 1000 * queue >= EXPLAINED * settings.slow_milliseconds * answered:
        return True
    lately = metrics.history
    if any(use >= FULL_CACHE for use in (metrics.kv_use or 0.0, *lately.kv_use[-LATELY:])):
        return True
    if tier_state.concurrency is None:
        return queue > metrics.known
    # Engines that were added lately have little to do: what waits stays where it is.
    most = tier_state.concurrency * len(tier_state.serving)
    return any(load >= tier_state.concurrency for load in metrics.load.values()) or any(
        load >= most for load in lately.concurrency[-LATELY:]
    )


def _is_stuck(tier_state: TierState, metrics: TierMetrics, answered: float) -> bool:
    """Whether engines have much to do and do next to nothing; never where nobody knows what they could do."""
    if not tier_state.rate or not tier_state.concurrency:
        return False
    full = sum(load >= tier_state.concurrency for load in metrics.load.values())
    return answered < STUCK * tier_state.rate * full
