"""How many engines a tier should have: rules propose, the highest proposal wins, and going down takes time.

Engines that do not serve, whether they start, find no node or crash, are given up together once nobody needs them;
those that serve leave one by one, each after fewer have been enough for a stabilization window.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from heterollm_controllers.api.timestamps import whole_second
from heterollm_controllers.api.v1alpha1.status import ForecastStatus, ScalingStatus
from heterollm_controllers.api.v1alpha1.tier import Tier
from heterollm_controllers.api.vocabulary import Reason
from heterollm_controllers.capacity.demand import Need, needed, needed_by_nobody
from heterollm_controllers.capacity.rules import Proposal, Rules, ScalingContext
from heterollm_controllers.metrics.tier_metrics import TierMetrics
from heterollm_controllers.observation.tier_state import TierState

__all__ = ["STABILIZATION_SECONDS", "STABILIZATION_SECONDS_OF_LAST", "CapacityPlan", "LostProposal", "plan_capacity"]

STABILIZATION_SECONDS, STABILIZATION_SECONDS_OF_LAST = 300, 1800
"""For how long fewer engines must have sufficed before one leaves, for large engines longer: they start slowly."""
LONGEST_START = timedelta(seconds=1800)
"""An engine that does not serve after this is taken for one that will not, and others do not wait for it."""
EASE = 0.8
"""A tier that could not grow is free again when its metrics are below this share of their limits."""


@dataclass(frozen=True)
class LostProposal:
    """What a rule wanted and did not get, and why."""

    proposal: Proposal
    why: str


@dataclass(frozen=True)
class CapacityPlan:
    """The number of engines of one tier.

    Attributes:
        current: engines that the tier should have had before.
        scaling: the decision in force, as status records it; None: the fewest, as ever.
        won: the proposal that was carried out now; None when nothing changed.
        lost: the other rules' proposals.
    """

    current: int
    scaling: ScalingStatus | None
    won: Proposal | None = None
    lost: tuple[LostProposal, ...] = ()

    @property
    def others(self) -> str:
        """What rules wanted more engines too and lost to the one that won, for the record; empty when none did."""
        more = (item for item in self.lost if self.won is not None and item.proposal.engines > self.current)
        return "".join(f"; {item.proposal.reason} wanted {item.proposal.engines}, but {item.why}" for item in more)


def plan_capacity(
    tier: Tier,
    tier_state: TierState,
    metrics: TierMetrics,
    before: ScalingStatus | None,
    context: ScalingContext,
    now: datetime,
) -> CapacityPlan:
    """What holds for the tier now; the same as before unless something was decided."""
    plan = _Plan(tier, tier_state, metrics, before, context, now)
    scaling = plan.decided()
    changed = scaling is not None and scaling.target != plan.current
    proposals = sorted(plan.wanted, key=lambda proposal: -proposal.engines)
    won = next((item for item in proposals if changed and scaling is not None and item.reason == scaling.reason), None)
    lost = tuple(LostProposal(item, plan.why_lost(item, won)) for item in proposals if item is not won)
    return CapacityPlan(plan.current, scaling, won, lost)


_CACHED_FOR = {Reason.QUEUE_LONG, Reason.QUEUE_PER_ENGINE_LONG, Reason.FIRST_TOKEN_SLOW, Reason.KV_CACHE_FULL}
"""What keeping conversations on their engine may help; a forecast is no present need."""


@dataclass(frozen=True)
class _Plan(Rules):
    """The decision over what the rules propose."""

    def decided(self) -> ScalingStatus | None:
        low, high = self.tier.replicas.bounds
        if not low <= self.current <= high:
            return self._bounded(low, high)
        if low == high:
            return self.before
        best = max(self.wanted, key=lambda proposal: proposal.engines, default=Proposal(0, Reason.ALL_WELL, ""))
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
    def wanted(self) -> tuple[Proposal, ...]:
        """What the rules want at their limits; nothing where the spec leaves no choice."""
        low, high = self.tier.replicas.bounds
        return tuple(self.proposals(1.0)) if low < high else ()

    def why_lost(self, proposal: Proposal, won: Proposal | None) -> str:
        """Why a proposal was not carried out."""
        _, high = self.tier.replicas.bounds
        if won is not None and won.engines >= proposal.engines:
            return f"{won.reason} wants {won.engines}"
        if proposal.engines <= self.current:
            return f"{self.current} engines are there or on their way"
        if self.stuck and proposal.engines > self.serving:
            return f"{', '.join(self.stuck)} finds no node"
        return f"the spec allows {high}"

    @cached_property
    def stuck(self) -> list[str]:
        """Engines that have found no node for so long that none will come soon."""
        waits = timedelta(seconds=self.tier.scaling.unschedulable_seconds)
        since = [(engine.name, engine.unschedulable_since) for engine in self.tier_state.engines]
        return [name for name, time in since if time is not None and self.now - time > waits]

    def _limited(self, limit: Reason, proposal: Proposal, why: str) -> ScalingStatus:
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
        if any(proposal.engines > before.target for proposal in self.proposals(EASE)):
            return before
        message = f"{before.target} engines suffice"
        return _with(before, limited=None, caching="Normal", reason=str(Reason.SCALING_FREE), message=message)

    # --- down -----------------------------------------------------------------------------------------------------

    @cached_property
    def stabilization(self) -> timedelta:
        """How long fewer engines must have been enough."""
        usual = STABILIZATION_SECONDS_OF_LAST if self.context.last else STABILIZATION_SECONDS
        return timedelta(seconds=self.tier.scaling.scale_down_seconds or usual)

    def _fewer(self, low: int) -> Proposal | None:
        """Without those that do not serve, or else one less, if that was enough for long and nothing is unknown."""
        if self.current <= low or not self.context.steady or not self._is_time():
            return None
        need = self._need()
        if need is None:
            return None
        enough = max([low, need.engines, *(proposal.engines for proposal in self.proposals(EASE))])
        if enough >= self.current:
            return None
        absent = self.current - self.serving
        if absent > 0:
            # Nothing is lost with an engine that does not serve, and it may be waiting for a node to be bought.
            return Proposal(max(enough, self.serving), Reason.FEWER_SUFFICE, f"{need.why}; {absent} do not serve")
        return Proposal(self.current - 1, Reason.FEWER_SUFFICE, need.why) if self._is_at_rest() else None

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
        return self._decided(self.before, Proposal(min(max(self.current, low), high), reason, why))

    def _unchanged(self) -> ScalingStatus:
        return ScalingStatus(
            target=self.current, reason=Reason.ALL_WELL, message="the fewest engines", decided_at=self.now
        )

    def _decided(self, before: ScalingStatus | None, proposal: Proposal) -> ScalingStatus:
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
