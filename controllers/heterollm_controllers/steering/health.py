"""Whether a tier fails: judged from what its requests met, never from silence."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from heterollm_controllers.steering.facts import TierFacts
from heterollm_controllers.steering.figures import TierFigures
from heterollm_controllers.steering.signals import TierSignal
from heterollm_controllers.steering_v1alpha1 import Fallback

__all__ = ["Health", "Judgement", "judge"]

COUNTED_SECONDS = 30
"""Requests are counted over this time (R18)."""
BUSY = 0.4
"""Share of what a tier's engines can do from which it is busy: a sick one answers less, a busy one nearly all of it."""


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
        why: the figures in words.
        window: seconds over which the figures were taken.
    """

    health: Health
    requests: float
    why: str
    window: float = 30.0

    @property
    def fails(self) -> bool:
        """Whether it is known to fail."""
        return self.health is Health.FAILING

    @property
    def known(self) -> bool:
        """Whether there are figures at all."""
        return self.health is not Health.UNKNOWN


def judge(facts: TierFacts, figures: TierFigures, settings: Fallback, fewest: int) -> Judgement:
    """How a tier does. `fewest` requests are needed to conclude that it fails."""
    tried, failed = figures.rate(TierSignal.TRIED), figures.rate(TierSignal.FAILED)
    if tried is None or failed is None:
        return Judgement(Health.UNKNOWN, 0.0, "no figures of the routers")
    requests = tried * COUNTED_SECONDS
    if facts.lost:
        return Judgement(Health.FAILING, requests, "none of its engines serves any more", figures.window)
    if not facts.serving:
        return Judgement(Health.IDLE, requests, "none of its engines serves yet", figures.window)
    if requests < fewest:
        return Judgement(Health.IDLE, requests, f"{requests:.0f} requests in {COUNTED_SECONDS} s", figures.window)
    slow = 0.0 if _is_overloaded(facts, figures) else _slow_share(figures)
    bad = min(failed, tried) + max(tried - failed, 0.0) * slow
    percent = 100 * bad / tried
    why = f"{percent:.0f} % of {requests:.0f} requests in {COUNTED_SECONDS} s failed or were slow"
    health = Health.FAILING if percent >= settings.failed_percent else Health.FINE
    return Judgement(health, requests, why, figures.window)


def _slow_share(figures: TierFigures) -> float:
    answered, slow = figures.rate(TierSignal.ANSWERED), figures.rate(TierSignal.SLOW)
    return min(slow / answered, 1.0) if answered and slow else 0.0


def _is_overloaded(facts: TierFacts, figures: TierFigures) -> bool:
    """Whether requests are slow because many wait: no other tier may take them then, or it drowns as well."""
    answered, queue = figures.rate(TierSignal.ANSWERED), figures.queue
    if not facts.rate or not facts.concurrency or not answered or not queue:
        return False
    # Those that were added lately have little to do: what waits stays where it is.
    full = sum(load > facts.concurrency for load in figures.load.values())
    return full > 0 and answered >= BUSY * facts.rate * full
