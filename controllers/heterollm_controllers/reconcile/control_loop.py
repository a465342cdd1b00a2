"""One tick of steering: signals, the fallback, the migration, then scaling of each tier. Same input, same decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from heterollm_controllers.api.signals import ClusterSignal, TierSignal
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.api.v1alpha1.status import Decision, FallbackStatus, ScalingStatus
from heterollm_controllers.api.v1alpha1.tier import Tier
from heterollm_controllers.api.vocabulary import Reason
from heterollm_controllers.capacity.plan import (
    STABILIZATION_SECONDS,
    STABILIZATION_SECONDS_OF_LAST,
    CapacityPlan,
    plan_capacity,
)
from heterollm_controllers.capacity.rules import ScalingContext
from heterollm_controllers.metrics.readings import Readings
from heterollm_controllers.metrics.side_minutes import SideMinutes
from heterollm_controllers.metrics.tier_metrics import MeasuredTier, missing_metrics, tier_metrics
from heterollm_controllers.observation.tier_state import TierState
from heterollm_controllers.reconcile.control_state import ControlState
from heterollm_controllers.traffic.external_tier import problem_of
from heterollm_controllers.traffic.fallback import fall_back
from heterollm_controllers.traffic.fallback_in_force import diverted, fallback_shares
from heterollm_controllers.traffic.meant_load import meant_load
from heterollm_controllers.traffic.migration import Circumstances, migrate
from heterollm_controllers.traffic.migration_in_force import meant_percent, migration_shares
from heterollm_controllers.traffic.migration_saving import migration_saving
from heterollm_controllers.traffic.plan import TrafficPlan, plan_traffic

__all__ = ["Steering", "steer", "traffic_in_force"]


@dataclass(frozen=True)
class Steering:
    """What holds after a tick.

    Attributes:
        state: what to record before any effect. It differs from the former one only by decisions.
        decisions: what was decided now, with the metrics, for the journal.
        missing: what keeps the cluster from being steered, for people; empty when all metrics are there.
        deadline: when to decide again even if no figure changes; None when nothing is waited for.
        load: requests in each engine of which that is known, by the engine's name.
        refused: version of a routing policy that a router does not take; 0 if there is none, or nobody knows.
        traffic: the share of its requests that each tier gets, and who wanted another.
        capacity: by tier, which rules wanted how many engines, and why they lost.
    """

    state: ControlState
    decisions: tuple[Decision, ...] = ()
    missing: str = ""
    deadline: datetime | None = None
    load: Mapping[str, float] = field(default_factory=dict)
    refused: int = 0
    traffic: TrafficPlan = field(default_factory=TrafficPlan)
    capacity: Mapping[str, CapacityPlan] = field(default_factory=dict)


def steer(
    spec: HeteroLLMClusterSpec,
    tiers: Sequence[TierState],
    state: ControlState,
    readings: Readings | None,
    now: datetime,
) -> Steering:
    """Decide.

    Args:
        tiers: the tiers of the spec that run, cheapest first.
        readings: of the last tick; None when no Prometheus is configured or none was read yet.
    """
    seen = [MeasuredTier(tier, tier_metrics(tier, readings, now)) for tier in tiers]
    missing = missing_metrics(seen, readings, now)
    routed = all(metrics.rates is not None for _, metrics in seen)
    cluster = readings.cluster if readings is not None and routed and _can_judge(readings, state.fallback) else None
    fallback, changes = fall_back(spec.fallback, seen, cluster, state.fallback, now)
    sides = readings.sides if readings is not None else SideMinutes()
    percent = state.migration.percent if state.migration is not None else 0
    saving = migration_saving(spec, seen, percent) if spec.migration is not None else None
    circumstances = Circumstances(seen, sides, state.fallback, fallback, cluster is not None, saving)
    migration, moves = migrate(spec, state.migration, circumstances, now)
    decisions = [_decision(change.reason, change.tier, change.why, now) for change in (*changes, *moves)]
    scaling: dict[str, ScalingStatus] = {}
    capacity: dict[str, CapacityPlan] = {}
    by_name = {tier.name: tier for tier in spec.engine_tiers}
    meant = meant_load(seen, meant_percent(migration))
    contexts = _contexts(fallback, meant, by_name, migrating=meant != seen, now=now)
    for (tier_state, metrics), context in zip(meant, contexts, strict=True):
        before = state.scaling.get(tier_state.name)
        after, others = before, ""
        if not spec.scaling.paused and tier_state.name in by_name:
            plan = plan_capacity(by_name[tier_state.name], tier_state, metrics, before, context, now)
            after, capacity[tier_state.name], others = plan.scaling, plan, plan.others
        if after is not None:
            scaling[tier_state.name] = after
            decisions += _scaling_decisions(tier_state.name, before, after, others, now)
    load = {name: requests for _, metrics in seen for name, requests in metrics.load.items()}
    refused = round((cluster or {}).get(ClusterSignal.POLICY_REFUSED, 0.0))
    after_all = ControlState(scaling, fallback, migration, _problems(seen, state))
    return Steering(
        after_all,
        tuple(decisions),
        missing,
        _deadline(fallback, now),
        load,
        refused,
        traffic_in_force(spec, after_all, tiers),
        capacity,
    )


def _problems(seen: Sequence[MeasuredTier], before: ControlState) -> dict[str, str]:
    """Of the services outside of the cluster."""
    found = {tier.name: problem_of(metrics, before.external.get(tier.name)) for tier, metrics in seen if tier.external}
    return {name: problem for name, problem in found.items() if problem is not None}


def traffic_in_force(
    spec: HeteroLLMClusterSpec, state: ControlState, tiers: Sequence[TierState] | None = None
) -> TrafficPlan:
    """The shares of the tiers of the spec, those included of which no engine runs.

    Args:
        tiers: those that run; where nobody knows, all are taken to serve.
    """
    names = [tier.name for tier in spec.tiers]
    serving = names if tiers is None else [tier.name for tier in tiers if tier.available]
    wanted = fallback_shares(state.fallback, names)
    return plan_traffic(names, [*wanted, *migration_shares(state.migration, names, serving, state.fallback)])


def _can_judge(readings: Readings, before: FallbackStatus | None) -> bool:
    """Whether the fallback may change. Level 3 does not end while nobody knows whether its cause is gone."""
    causes = {ClusterSignal.POLICY_REFUSED, ClusterSignal.UNDECIDED}
    return before is None or before.state != "PureLarge" or not causes & readings.unanswered


def _contexts(
    fallback: FallbackStatus | None,
    seen: Sequence[MeasuredTier],
    tiers: Mapping[str, Tier],
    *,
    migrating: bool,
    now: datetime,
) -> list[ScalingContext]:
    """What the fallback and the migration mean for the scaling of each tier.

    Args:
        seen: with what the migration means them to do; `migrating`: whether that is another thing than they want.
    """
    names = [tier_state.name for tier_state, _ in seen]
    away = diverted(fallback, names)
    offered = {tier_state.name: metrics.rate(TierSignal.OFFERED) or 0.0 for tier_state, metrics in seen}
    stands_in = any(offered[name] for name in away) or (migrating and bool(seen) and seen[-1].state.rate is not None)
    # All that a fallback has in mind for it: its tiers keep some only as long as there is no room.
    taken_over = sum(offered[name] for name in {*away, names[-1]}) if stands_in else None
    contexts = []
    for name in names:
        last = name == names[-1]
        own = tiers[name].scaling.scale_down_seconds if name in tiers else None
        window = timedelta(seconds=own or (STABILIZATION_SECONDS_OF_LAST if last else STABILIZATION_SECONDS))
        # In force even if only for the record: a dry run must not shrink what it would need. And what a tier had to do
        # while others answered for it says little of what it has to do now.
        steady = fallback is None or (fallback.state == "Normal" and now - fallback.since >= window)
        contexts.append(ScalingContext(last, steady, taken_over if last else None))
    return contexts


def _scaling_decisions(
    tier: str, before: ScalingStatus | None, after: ScalingStatus, others: str, now: datetime
) -> list[Decision]:
    if before is not None and before.target != after.target:
        action = Reason.SCALED_UP if after.target > before.target else Reason.SCALED_DOWN
    elif before is None and after.raised_at is not None:
        action = Reason.SCALED_UP
    elif (before.limited if before is not None else None) != after.limited:
        action = Reason.SCALING_LIMITED if after.limited else Reason.SCALING_FREE
    else:
        return []
    return [_decision(action, tier, after.message + others, now)]


def _decision(action: Reason, subject: str, why: str, now: datetime) -> Decision:
    return Decision(time=now, action=action, subject=subject or "cluster", message=why[:1024])


def _deadline(fallback: FallbackStatus | None, now: datetime) -> datetime | None:
    """The next end of a phase."""
    ends = [item.until for item in fallback.escalations if item.until] if fallback is not None else []
    return min((end for end in ends if end > now), default=None)
