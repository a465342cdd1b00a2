"""One tick of steering: signals, the fallback, the migration, then scaling of each tier. Same input, same decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from heterollm_controllers.api.signals import ClusterSignal
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.api.v1alpha1.status import Decision, FallbackStatus
from heterollm_controllers.capacity.plan import (
    CapacityPlan,
)
from heterollm_controllers.metrics.readings import Readings
from heterollm_controllers.metrics.side_minutes import SideMinutes
from heterollm_controllers.metrics.tier_metrics import MeasuredTier, missing_metrics, tier_metrics
from heterollm_controllers.observation.tier_state import TierState
from heterollm_controllers.reconcile.control_state import ControlState
from heterollm_controllers.reconcile.scale_tiers import scale
from heterollm_controllers.traffic.external_tier import problem_of
from heterollm_controllers.traffic.fallback import Change, fall_back
from heterollm_controllers.traffic.fallback_in_force import fallback_shares
from heterollm_controllers.traffic.migration import Circumstances, migrate
from heterollm_controllers.traffic.migration_in_force import migration_shares
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
    cluster = _cluster_signals(readings, seen, state.fallback)
    fallback, changes = fall_back(spec.fallback, seen, cluster, state.fallback, now)
    circumstances = _circumstances(spec, seen, readings, state, fallback, known=cluster is not None)
    migration, moves = migrate(spec, state.migration, circumstances, now)
    scaled = scale(spec, seen, state.scaling, fallback, migration, now)
    after = ControlState(scaled.scaling, fallback, migration, _problems(seen, state))
    return Steering(
        state=after,
        decisions=tuple(_decision(change, now) for change in (*changes, *moves, *scaled.changes)),
        missing=missing_metrics(seen, readings, now),
        deadline=_deadline(fallback, now),
        load={name: requests for _, metrics in seen for name, requests in metrics.load.items()},
        refused=round((cluster or {}).get(ClusterSignal.POLICY_REFUSED, 0.0)),
        traffic=traffic_in_force(spec, after, tiers),
        capacity=scaled.plans,
    )


def _cluster_signals(
    readings: Readings | None, seen: Sequence[MeasuredTier], before: FallbackStatus | None
) -> Mapping[ClusterSignal, float] | None:
    """What is known of the cluster as a whole; None when the fallback cannot judge."""
    routed = all(metrics.rates is not None for _, metrics in seen)
    return readings.cluster if readings is not None and routed and _can_judge(readings, before) else None


def _circumstances(
    spec: HeteroLLMClusterSpec,
    seen: Sequence[MeasuredTier],
    readings: Readings | None,
    before: ControlState,
    fallback: FallbackStatus | None,
    *,
    known: bool,
) -> Circumstances:
    """Of the migration."""
    sides = readings.sides if readings is not None else SideMinutes()
    percent = before.migration.percent if before.migration is not None else 0
    saving = migration_saving(spec, seen, percent) if spec.migration is not None else None
    return Circumstances(seen, sides, before.fallback, fallback, known, saving)


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


def _decision(change: Change, now: datetime) -> Decision:
    return Decision(time=now, action=change.reason, subject=change.tier or "cluster", message=change.why[:1024])


def _deadline(fallback: FallbackStatus | None, now: datetime) -> datetime | None:
    """The next end of a phase."""
    ends = [item.until for item in fallback.escalations if item.until] if fallback is not None else []
    return min((end for end in ends if end > now), default=None)
