"""How many engines a tier should have: every rule states its proposal, the highest wins, and going down takes patience.

Rules count from the engines that serve, so engines on their way are capacity that a rule has already got, and none
fires again until its metrics are from after the newest engine began to serve. Engines that do not serve, whether they
start, find no node or crash, are given up together once nobody needs them; those that serve leave one by one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from heterollm_controllers.api.signals import TierSignal
from heterollm_controllers.api.timestamps import whole_second
from heterollm_controllers.api.v1alpha1.status import ForecastStatus, ScalingStatus
from heterollm_controllers.api.v1alpha1.tier import Tier
from heterollm_controllers.api.vocabulary import Reason
from heterollm_controllers.capacity.demand import Need, ahead, is_asked_for, needed, needed_by_nobody
from heterollm_controllers.metrics.tier_metrics import TierMetrics
from heterollm_controllers.observation.tier_state import TierState

__all__ = ["ScalingContext", "scale"]

FIRST_TOKEN_LIMIT_MS = 200
"""Of the last tier, if its spec names none (R14)."""
STABILIZATION_SECONDS, STABILIZATION_SECONDS_OF_LAST = 300, 1800
"""Seconds that fewer engines must have sufficed before one leaves, for large engines longer: they start slowly."""
LONGEST_START = timedelta(seconds=1800)
"""An engine that does not serve after this is taken for one that will not, and others do not wait for it."""
EASE = 0.8
"""A tier that could not grow is free again when its metrics are below this share of their limits."""


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


def scale(
    tier: Tier,
    tier_state: TierState,
    metrics: TierMetrics,
    before: ScalingStatus | None,
    course: ScalingContext,
    now: datetime,
) -> ScalingStatus | None:
    """What holds for the tier now; the same as before unless something was decided. None: the fewest, as ever."""
    return _Scaling(tier, tier_state, metrics, before, course, now).outcome()


@dataclass(frozen=True)
class _Proposal:
    engines: int
    reason: Reason
    why: str


_CACHED_FOR = {Reason.QUEUE_LONG, Reason.QUEUE_PER_ENGINE_LONG, Reason.FIRST_TOKEN_SLOW, Reason.KV_CACHE_FULL}
"""What keeping conversations on their engine may help; a forecast is no present need."""


@dataclass(frozen=True)
class _Scaling:
    tier: Tier
    tier_state: TierState
    metrics: TierMetrics
    before: ScalingStatus | None
    course: ScalingContext
    now: datetime

    def outcome(self) -> ScalingStatus | None:
        low, high = self.tier.replicas.bounds
        if not low <= self.current <= high:
            return self._bounded(low, high)
        if low == high:
            return self.before
        best = max(
            self._proposals(1.0), key=lambda proposal: proposal.engines, default=_Proposal(0, Reason.ALL_WELL, "")
        )
        if best.engines > self.serving and self.stuck:
            after: ScalingStatus | None = self._limited(Reason.NO_NODE, best, f"{', '.join(self.stuck)} finds no node")
        elif best.engines > self.current and self.current < high:
            return self._decided(self.before, replace(best, engines=min(best.engines, high)))
        elif best.engines > self.current:
            after = self._limited(Reason.LIMIT_REACHED, best, f"the spec allows {high}")
        else:
            after = self._freed()
        fewer = self._fewer(low)
        if fewer is None:
            return self._still_asked(after) if best.reason == Reason.WAKES_UP and self.current > low else after
        less = self._decided(after, fewer)
        return less if after is None else _with(less, limited=after.limited, caching=after.caching)

    @cached_property
    def current(self) -> int:
        return self.before.target if self.before is not None else self.tier.replicas.min

    @cached_property
    def serving(self) -> int:
        return len(self.tier_state.serving)

    @cached_property
    def stuck(self) -> list[str]:
        """Engines that have found no node for so long that none will come soon."""
        waits = timedelta(seconds=self.tier.scaling.unschedulable_seconds)
        since = [(engine.name, engine.unschedulable_since) for engine in self.tier_state.engines]
        return [name for name, time in since if time is not None and self.now - time > waits]

    @cached_property
    def coming(self) -> Need | None:
        if not self.tier.scaling.forecast:
            return None
        return ahead(self.tier, self.tier_state, self.metrics.history, last=self.course.last)

    # --- up -------------------------------------------------------------------------------------------------------

    def _proposals(self, ease: float) -> Iterator[_Proposal]:
        """What each rule wants; `ease` shrinks the limits."""
        if self.serving == 0:
            if is_asked_for(self.metrics):
                offered = self.metrics.rate(TierSignal.OFFERED)
                yield _Proposal(1, Reason.WAKES_UP, f"{offered:.2f} requests/s come in and no engine serves")
        elif self._is_settled():
            yield from self._queue(ease)
            yield from self._latency(ease)
            yield from self._memory(ease)
        if self.course.taken_over is not None and self.serving:
            taken, of_one = self.course.taken_over, self.tier_state.rate
            engines = math.ceil(taken / of_one) if of_one else self.serving + 1
            yield _Proposal(engines, Reason.TAKES_OVER, f"it stands in for other tiers: {taken:.1f} requests/s")
        if self.coming is not None:
            yield _Proposal(self.coming.engines, Reason.FORECAST_HIGHER, self.coming.why)

    def _is_settled(self) -> bool:
        """Whether the metrics are from after the newest engine began to serve, or came from standby."""
        began = [engine.serving_since for engine in self.tier_state.serving if engine.serving_since is not None]
        if self.before is not None and self.before.raised_at is not None and self.serving >= self.current:
            began.append(self.before.raised_at)
        return not began or self.now - max(began) >= timedelta(seconds=self.metrics.window)

    def _queue(self, ease: float) -> Iterator[_Proposal]:
        settings, queue, known = self.tier.scaling, self.metrics.queue, self.metrics.known
        if queue is None:
            return
        if queue > settings.queue_length * ease:
            why = f"{queue:.0f} requests wait, more than {settings.queue_length}"
            yield _Proposal(self.serving + settings.queue_step, Reason.QUEUE_LONG, why)
        each = settings.queue_per_engine
        if each is not None and queue > each * known * ease:
            why = f"{queue:.0f} requests wait at {known} engines, more than {each} each"
            yield _Proposal(self.serving + 1, Reason.QUEUE_PER_ENGINE_LONG, why)

    def _latency(self, ease: float) -> Iterator[_Proposal]:
        settings, found = self.tier.scaling, self.metrics.first_token_ms
        limit = settings.time_to_first_token_ms or (FIRST_TOKEN_LIMIT_MS if self.course.last else None)
        if limit is not None and found is not None and found > limit * ease:
            why = f"the first token takes {found:.0f} ms on average, more than {limit}"
            yield _Proposal(self.serving + settings.time_to_first_token_step, Reason.FIRST_TOKEN_SLOW, why)

    def _memory(self, ease: float) -> Iterator[_Proposal]:
        percent, found = self.tier.scaling.kv_use_percent, self.metrics.kv_use
        if found is not None and 100 * found > percent * ease:
            why = f"{100 * found:.0f} % of the KV cache is used, more than {percent}"
            engines = max(self.serving + 1, math.ceil(self.serving * 100 * found / percent))
            yield _Proposal(engines, Reason.KV_CACHE_FULL, why)

    def _limited(self, limit: Reason, proposal: _Proposal, why: str) -> ScalingStatus:
        before = self.before or self._unchanged()
        caching = "Aggressive" if proposal.reason in _CACHED_FOR else before.caching
        if before.limited == limit and before.caching == caching:
            return before
        message = f"{proposal.why}; {proposal.engines} engines are wished, but {why}"
        return _with(before, limited=str(limit), caching=caching, reason=str(proposal.reason), message=message)

    def _freed(self) -> ScalingStatus | None:
        """Without its limit, once nothing presses any more."""
        before = self.before
        if before is None or before.limited is None or self.metrics.known < self.serving:
            return before
        if any(proposal.engines > before.target for proposal in self._proposals(EASE)):
            return before
        message = f"{before.target} engines suffice"
        return _with(before, limited=None, caching="Normal", reason=str(Reason.SCALING_FREE), message=message)

    # --- down -----------------------------------------------------------------------------------------------------

    @cached_property
    def stabilization(self) -> timedelta:
        """How long fewer engines must have been enough."""
        usual = STABILIZATION_SECONDS_OF_LAST if self.course.last else STABILIZATION_SECONDS
        return timedelta(seconds=self.tier.scaling.scale_down_seconds or usual)

    def _fewer(self, low: int) -> _Proposal | None:
        """Without those that do not serve, or else one less, if that was enough for long and nothing is unknown."""
        if self.current <= low or not self.course.steady or not self._is_time():
            return None
        need = self._need()
        if need is None:
            return None
        enough = max([low, need.engines, *(proposal.engines for proposal in self._proposals(EASE))])
        if enough >= self.current:
            return None
        absent = self.current - self.serving
        if absent > 0:
            # Nothing is lost with an engine that does not serve, and it may be waiting for a node to be bought.
            return _Proposal(max(enough, self.serving), Reason.FEWER_SUFFICE, f"{need.why}; {absent} do not serve")
        return _Proposal(self.current - 1, Reason.FEWER_SUFFICE, need.why) if self._is_at_rest() else None

    def _need(self) -> Need | None:
        if self.serving:
            return needed(self.tier, self.tier_state, self.metrics, self.coming, self.stabilization, self.current)
        return needed_by_nobody(self.tier, self.metrics, self.coming)

    def _is_time(self) -> bool:
        """Whether the last decision shows in the metrics, and nothing raised the tier for long."""
        before, seen, quiet = self.before, timedelta(seconds=self.metrics.window), self.stabilization
        if before is None:
            return True
        if not self.serving and not self.stuck:
            # Whoever asked for its first engine has gone, and comes back when that might serve.
            quiet = max(quiet, LONGEST_START)
        raised = before.raised_at
        return self.now - before.decided_at >= seen and (raised is None or self.now - raised >= quiet)

    def _is_at_rest(self) -> bool:
        """Exactly the wanted engines serve, none is going, and none is being replaced, unless that has stalled."""
        return (
            self.serving == self.current
            and not self.tier_state.leaving
            and (not self.tier_state.rolling or self._is_stalled())
        )

    def _is_stalled(self) -> bool:
        """Whether an engine does not serve, and will not soon."""
        made = [
            engine.created for engine in self.tier_state.engines if not engine.serving and engine.created is not None
        ]
        return bool(self.stuck) or any(self.now - time > LONGEST_START for time in made)

    def _still_asked(self, after: ScalingStatus | None) -> ScalingStatus | None:
        """Requests that come only now and then keep the first engine coming: now and then that is recorded."""
        if after is None or after.raised_at is None or self.now - after.raised_at < self.stabilization / 2:
            return after
        return _with(after, raised_at=whole_second(self.now))

    # --- record ---------------------------------------------------------------------------------------------------

    def _bounded(self, low: int, high: int) -> ScalingStatus:
        by_hand = self.tier.replicas.fixed is not None
        why = f"the spec asks for {low}" if by_hand else f"the spec allows {low} to {high}"
        reason = Reason.FIXED_BY_HAND if by_hand else Reason.BOUNDS_CHANGED
        return self._decided(self.before, _Proposal(min(max(self.current, low), high), reason, why))

    def _unchanged(self) -> ScalingStatus:
        return ScalingStatus(
            target=self.current, reason=Reason.ALL_WELL, message="the fewest engines", decided_at=self.now
        )

    def _decided(self, before: ScalingStatus | None, proposal: _Proposal) -> ScalingStatus:
        """The new target, from the metrics of one proposal."""
        before = before or self._unchanged()
        time = whole_second(self.now)
        return _with(
            before,
            target=proposal.engines,
            reason=str(proposal.reason),
            message=f"{self.current} to {proposal.engines} engines: {proposal.why}"[:1024],
            decided_at=time,
            raised_at=time if proposal.engines > self.current else before.raised_at,
            limited=None,
            caching="Normal",
            forecast=_told(self.coming),
        )


def _told(coming: Need | None) -> ForecastStatus | None:
    if coming is None:
        return None
    error = None if coming.error is None else round(100 * coming.error)
    return ForecastStatus(engines=coming.engines, horizon_seconds=coming.horizon, error_percent=error)


def _with(before: ScalingStatus, **update: Any) -> ScalingStatus:
    return before.model_copy(update=update)
