"""What a migration saves, against engines of the last tier that answer everything, for its cost gate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

from heterollm_controllers.api.signals import TierSignal
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.cost.saving import Demand, counterfactual, projected_saving, saving
from heterollm_controllers.metrics.tier_metrics import MeasuredTier

__all__ = ["migration_saving"]


def migration_saving(spec: HeteroLLMClusterSpec, tiers: Sequence[MeasuredTier], percent: int) -> float | None:
    """Per cent saved; None when a tier, its price, its rate or what it is asked is not known.

    While traffic moves the bill rises: engines of small tiers come, and those of the last one stay. So a step below
    100 % is judged by the engines that are needed once all traffic has moved, the last one by the engines there are.

    Args:
        tiers: those that run, cheapest first.
        percent: of their requests that the tiers get now.
    """
    demands = _demands(spec, tiers)
    if demands is None:
        return None
    last = demands[-1]
    total = sum(demand.requests_per_second for demand in demands)
    otherwise = counterfactual(total, last.engine_rate, last.engine_dollars_per_hour)
    if percent < 100:
        return projected_saving(demands, otherwise)
    share = saving(_bill(tiers), otherwise)
    return None if share is None else 100 * share


def _demands(spec: HeteroLLMClusterSpec, tiers: Sequence[MeasuredTier]) -> list[Demand] | None:
    """What the tiers are asked for: as it is shared among them now, and as much as in the last hour on average."""
    if [tier.state.name for tier in tiers] != [tier.name for tier in spec.tiers]:
        return None
    if spec.external_tiers:
        return None  # What a service outside of the cluster costs is not known.
    offered = [tier.metrics.rate(TierSignal.OFFERED) for tier in tiers]
    known = [rate for rate in offered if rate is not None]
    if len(known) < len(offered) or not sum(known):
        return None
    usual = _of_the_last_hour(tiers) / sum(known)
    return [
        Demand(
            rate * (usual or 1.0),
            item.state.rate,
            item.state.engine_dollars_per_hour,
            tier.replicas.bounds.fewest + tier.replicas.standby,
        )
        for rate, item, tier in zip(known, tiers, spec.engine_tiers, strict=True)
    ]


def _of_the_last_hour(tiers: Sequence[MeasuredTier]) -> float:
    """Requests per second of all tiers on average; 0 when nobody knows."""
    known = [[rate for rate in tier.metrics.history.rate if math.isfinite(rate)] for tier in tiers]
    return sum(fmean(rates) for rates in known if rates)


def _bill(tiers: Sequence[MeasuredTier]) -> float | None:
    """Dollars per hour of all engines that are there, whatever they do."""
    bill = 0.0
    for tier in tiers:
        price = tier.state.engine_dollars_per_hour
        if price is None:
            return None
        bill += price * (len(tier.state.engines) + tier.state.leaving)
    return bill
