"""The tier that answers in place of another: whether it can, and for how many requests it has room."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from heterollm_controllers.api.signals import TierSignal
from heterollm_controllers.api.v1alpha1.fallback import Fallback
from heterollm_controllers.api.v1alpha1.status import EscalationStatus
from heterollm_controllers.metrics.tier_metrics import MeasuredTier, TierMetrics
from heterollm_controllers.observation.tier_state import TierState
from heterollm_controllers.traffic.tier_health import Health, Judgement, judge

__all__ = ["StandIn", "StandIns", "needs_less", "needs_more", "stand_in_of"]

FILLED = 0.8
"""Share of its rate up to which a tier is filled with requests of others: beyond, prompts wait for each other."""
FULL_SECONDS = 3.0
"""A tier whose requests wait longer than this in its engines answers no more than it does now, whatever its rate."""
DOUBTED = 0.2
"""Share of the fallback's `failedPercent` from which a stand-in is doubted, before it is said to fail."""


LEAST_CHANGE = 10
"""Points by which a share must differ from what a stand-in has room for, to be changed for that alone."""


@dataclass(frozen=True)
class StandIn:
    """What a tier's stand-in can do for it now.

    Attributes:
        name: of the tier that stands in.
        usable: whether it may answer for the other at all: it serves, and neither fails nor rests.
        works: whether it is seen to answer, by enough requests, and not doubted.
        kept: share in per cent of the other tier's requests for which it has no room; 100 when it is not usable.
        doubted: whether it does not answer all that it gets, so that the other had better be tried again soon.
        grown_at: when its newest engine began to serve.
        why: what it has room for, in words.
    """

    name: str
    usable: bool
    works: bool
    kept: int
    doubted: bool
    grown_at: datetime | None
    why: str


def needs_more(percent: int, kept: int) -> bool:
    """Whether a tier that gets this share has to get what its stand-in has no room for any more."""
    return kept >= percent + LEAST_CHANGE or percent < kept == 100


def needs_less(percent: int, stand_in: StandIn, since: datetime) -> bool:
    """Whether a stand-in can take more than it has since then, as it has grown or is well again."""
    grown = stand_in.grown_at is not None and stand_in.grown_at > since
    well = percent == 100 and stand_in.works
    return (grown or well) and stand_in.kept <= percent - LEAST_CHANGE


def stand_in_of(tier: str, names: Sequence[str]) -> str:
    """The tier that answers for another: the last one, and for the last one the nearest before it."""
    return names[-1] if tier != names[-1] else names[-2]


@dataclass(frozen=True)
class StandIns:
    """All tiers of a cluster, as they could answer for each other now.

    Attributes:
        tiers: state and metrics, cheapest first; two at least.
        records: of the tiers at level 2, by name. They may change from tier to tier.
    """

    settings: Fallback
    tiers: Sequence[MeasuredTier]
    records: Mapping[str, EscalationStatus]

    @cached_property
    def names(self) -> list[str]:
        return [tier.state.name for tier in self.tiers]

    @cached_property
    def by_name(self) -> dict[str, MeasuredTier]:
        return {tier.state.name: tier for tier in self.tiers}

    def rests(self, tier: str) -> bool:
        """Whether another tier is to answer for it."""
        record = self.records.get(tier)
        return record is not None and record.phase != "Watching"

    def judged(self, tier: str) -> Judgement:
        """How a tier does. One with a small share of its requests is judged by few, and one that stands in."""
        part = self.rests(tier) or any(self.rests(other) for other in self._answered_for(tier))
        return self._judged(tier, self._few if part else self.settings.min_requests)

    def judged_by_few(self, tier: str) -> Judgement:
        """The same of a tier that few requests have to tell of in any case."""
        return self._judged(tier, self._few)

    def of(self, tier: str) -> StandIn:
        """The stand-in of a tier, for it and for those that it answers for already, or has to."""
        name = stand_in_of(tier, self.names)
        others = [other for other in self._answered_for(name) if self.rests(other) or self.judged(other).fails]
        return self.of_all(name, {tier, *others})

    def of_all(self, name: str, tiers: Collection[str]) -> StandIn:
        """What a tier can do for all of these."""
        tier_state, metrics = self.by_name[name]
        offered = sum(self.by_name[tier].metrics.rate(TierSignal.OFFERED) or 0.0 for tier in tiers)
        judged = self.judged_by_few(name)
        # Two tiers never answer for each other.
        usable = tier_state.available and not judged.fails and not self.rests(name)
        kept = _kept_percent(offered, tier_state, metrics) if usable else 100
        doubted = not usable or _is_full(metrics) or judged.percent >= DOUBTED * self.settings.failed_percent
        begun = [engine.serving_since for engine in tier_state.serving if engine.serving_since is not None]
        return StandIn(
            name,
            usable=usable,
            works=judged.health is Health.FINE and not doubted,
            kept=kept,
            doubted=doubted,
            grown_at=max(begun, default=None),
            why=f"{name} has room for {100 - kept} % of them" if usable else f"{name} cannot answer for it",
        )

    def _answered_for(self, tier: str) -> list[str]:
        return [other for other in self.names if stand_in_of(other, self.names) == tier]

    @cached_property
    def _few(self) -> int:
        return max(1, min(self.settings.min_requests, self.settings.probe_requests // 2))

    def _judged(self, tier: str, fewest: int) -> Judgement:
        tier_state, metrics = self.by_name[tier]
        others = [self.by_name[other].metrics for other in self._answered_for(tier)]
        return judge(tier_state, metrics, self.settings, fewest, others)


def _kept_percent(offered: float, tier_state: TierState, metrics: TierMetrics) -> int:
    """Share of `offered` requests per second for which a tier has no room beside its own, in per cent."""
    room = _capacity(tier_state, metrics) - (metrics.rate(TierSignal.OFFERED) or 0.0)
    if offered <= room or offered <= 0:
        return 0
    return 100 - math.floor(100 * max(room, 0.0) / offered)


def _capacity(tier_state: TierState, metrics: TierMetrics) -> float:
    """Requests per second that a tier's serving engines can answer; infinite when nothing tells."""
    rated = FILLED * tier_state.rate * len(tier_state.serving) if tier_state.rate else math.inf
    answered = metrics.rate(TierSignal.ANSWERED)
    return min(rated, answered) if answered is not None and _is_full(metrics) else rated


def _is_full(metrics: TierMetrics) -> bool:
    """Whether requests wait for so long in a tier's engines that it can take no more."""
    queue, answered = metrics.queue, metrics.rate(TierSignal.ANSWERED)
    return queue is not None and answered is not None and queue > max(1.0, FULL_SECONDS * answered)
