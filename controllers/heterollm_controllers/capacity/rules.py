"""What each rule of the autoscaler wants for a tier: a queue, slow first tokens, a full KV cache, a forecast.

Rules count from the engines that serve, so engines on their way are capacity that a rule has already got, and none
fires again until its metrics are from after the newest engine began to serve.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from heterollm_controllers.api.signals import TierSignal
from heterollm_controllers.api.v1alpha1.status import ScalingStatus
from heterollm_controllers.api.v1alpha1.tier import Tier
from heterollm_controllers.api.vocabulary import Reason
from heterollm_controllers.capacity.demand import Need, ahead, is_asked_for
from heterollm_controllers.metrics.tier_metrics import TierMetrics
from heterollm_controllers.observation.tier_state import TierState

__all__ = ["Proposal", "Rules", "ScalingContext"]

FIRST_TOKEN_LIMIT_MS = 200
"""Of the last tier, if its spec names none (R14)."""


@dataclass(frozen=True)
class ScalingContext:
    """What bears on the scaling of a tier besides its own metrics.

    Attributes:
        last: whether it is the last tier.
        steady: whether no fallback is in force: only then may a tier shrink.
        taken_over: requests per second that the tier has to answer altogether while it stands in for others; None
            while it does not, or nobody knows.
    """

    last: bool
    steady: bool = True
    taken_over: float | None = None


@dataclass(frozen=True)
class Proposal:
    """How many engines a rule wants, and from which metrics."""

    engines: int
    reason: Reason
    why: str


@dataclass(frozen=True)
class Rules:
    """The rules of one tier at one moment.

    Attributes:
        before: the decision in force; None for the fewest engines, as ever.
    """

    tier: Tier
    tier_state: TierState
    metrics: TierMetrics
    before: ScalingStatus | None
    context: ScalingContext
    now: datetime

    @cached_property
    def current(self) -> int:
        return self.before.target if self.before is not None else self.tier.replicas.min

    @cached_property
    def serving(self) -> int:
        return len(self.tier_state.serving)

    @cached_property
    def coming(self) -> Need | None:
        if not self.tier.scaling.forecast:
            return None
        return ahead(self.tier, self.tier_state, self.metrics.history, last=self.context.last)

    def proposals(self, ease: float) -> Iterator[Proposal]:
        """What each rule wants; `ease` shrinks the limits."""
        if self.serving == 0:
            if is_asked_for(self.metrics):
                offered = self.metrics.rate(TierSignal.OFFERED)
                yield Proposal(1, Reason.WAKES_UP, f"{offered:.2f} requests/s come in and no engine serves")
        elif self._is_settled():
            yield from self._queue(ease)
            yield from self._latency(ease)
            yield from self._memory(ease)
        if self.context.taken_over is not None and self.serving:
            taken, of_one = self.context.taken_over, self.tier_state.rate
            engines = math.ceil(taken / of_one) if of_one else self.serving + 1
            yield Proposal(engines, Reason.TAKES_OVER, f"it stands in for other tiers: {taken:.1f} requests/s")
        if self.coming is not None:
            yield Proposal(self.coming.engines, Reason.FORECAST_HIGHER, self.coming.why)

    def _is_settled(self) -> bool:
        """Whether the metrics are from after the newest engine began to serve, or came from standby."""
        began = [engine.serving_since for engine in self.tier_state.serving if engine.serving_since is not None]
        if self.before is not None and self.before.raised_at is not None and self.serving >= self.current:
            began.append(self.before.raised_at)
        return not began or self.now - max(began) >= timedelta(seconds=self.metrics.window)

    def _queue(self, ease: float) -> Iterator[Proposal]:
        settings, queue, known = self.tier.scaling, self.metrics.queue, self.metrics.known
        if queue is None:
            return
        if queue > settings.queue_length * ease:
            why = f"{queue:.0f} requests wait, more than {settings.queue_length}"
            yield Proposal(self.serving + settings.queue_step, Reason.QUEUE_LONG, why)
        each = settings.queue_per_engine
        if each is not None and queue > each * known * ease:
            why = f"{queue:.0f} requests wait at {known} engines, more than {each} each"
            yield Proposal(self.serving + 1, Reason.QUEUE_PER_ENGINE_LONG, why)

    def _latency(self, ease: float) -> Iterator[Proposal]:
        settings, found = self.tier.scaling, self.metrics.first_token_ms
        limit = settings.time_to_first_token_ms or (FIRST_TOKEN_LIMIT_MS if self.context.last else None)
        if limit is not None and found is not None and found > limit * ease:
            why = f"the first token takes {found:.0f} ms on average, more than {limit}"
            yield Proposal(self.serving + settings.time_to_first_token_step, Reason.FIRST_TOKEN_SLOW, why)

    def _memory(self, ease: float) -> Iterator[Proposal]:
        percent, found = self.tier.scaling.kv_use_percent, self.metrics.kv_use
        if found is not None and 100 * found > percent * ease:
            why = f"{100 * found:.0f} % of the KV cache is used, more than {percent}"
            engines = max(self.serving + 1, math.ceil(self.serving * 100 * found / percent))
            yield Proposal(engines, Reason.KV_CACHE_FULL, why)
