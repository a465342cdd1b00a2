"""How many engines each tier should have after a tick, and what the fallback and the migration mean for that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from heterollm_controllers.api.signals import TierSignal
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.api.v1alpha1.migration_status import MigrationStatus
from heterollm_controllers.api.v1alpha1.status import FallbackStatus, ScalingStatus
from heterollm_controllers.api.v1alpha1.tier import Tier
from heterollm_controllers.api.vocabulary import Reason
from heterollm_controllers.capacity.plan import (
    STABILIZATION_SECONDS,
    STABILIZATION_SECONDS_OF_LAST,
    CapacityPlan,
    plan_capacity,
)
from heterollm_controllers.capacity.rules import ScalingContext
from heterollm_controllers.metrics.tier_metrics import MeasuredTier
from heterollm_controllers.traffic.fallback import Change
from heterollm_controllers.traffic.fallback_in_force import diverted
from heterollm_controllers.traffic.meant_load import meant_load
from heterollm_controllers.traffic.migration_in_force import meant_percent

__all__ = ["Scaled", "scale"]


class Scaled(NamedTuple):
    """By tier: what to record, and which rules wanted how many engines; and what changed."""

    scaling: Mapping[str, ScalingStatus]
    plans: Mapping[str, CapacityPlan]
    changes: Sequence[Change]


def scale(
    spec: HeteroLLMClusterSpec,
    seen: Sequence[MeasuredTier],
    before: Mapping[str, ScalingStatus],
    fallback: FallbackStatus | None,
    migration: MigrationStatus | None,
    now: datetime,
) -> Scaled:
    """Plan the capacity of each tier of engines. Tiers that are not scaled keep what is recorded.

    Args:
        seen: the tiers that run, cheapest first.
        before: by tier, as recorded.
    """
    tiers = {tier.name: tier for tier in spec.engine_tiers}
    meant = meant_load(seen, meant_percent(migration))
    contexts = _contexts(fallback, meant, tiers, migrating=meant != seen, now=now)
    scaling: dict[str, ScalingStatus] = {}
    plans: dict[str, CapacityPlan] = {}
    changes: list[Change] = []
    for (state, metrics), context in zip(meant, contexts, strict=True):
        name, recorded = state.name, before.get(state.name)
        if spec.scaling.paused or name not in tiers:
            after = recorded
        else:
            plans[name] = plan = plan_capacity(tiers[name], state, metrics, recorded, context, now)
            after = plan.scaling
            changes += _changes(name, recorded, after, plan.others)
        if after is not None:
            scaling[name] = after
    return Scaled(scaling, plans, changes)


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


def _changes(tier: str, before: ScalingStatus | None, after: ScalingStatus | None, others: str) -> list[Change]:
    if after is None:
        return []
    if before is not None and before.target != after.target:
        action = Reason.SCALED_UP if after.target > before.target else Reason.SCALED_DOWN
    elif before is None and after.raised_at is not None:
        action = Reason.SCALED_UP
    elif (before.limited if before is not None else None) != after.limited:
        action = Reason.SCALING_LIMITED if after.limited else Reason.SCALING_FREE
    else:
        return []
    return [Change(action, tier, after.message + others)]
