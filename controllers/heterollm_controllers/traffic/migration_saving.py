"""What a migration saves, against engines of the last tier that answer everything, for its cost gate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from heterollm_controllers.api.signals import TierSignal
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.api.v1alpha1.external import ExternalService, ExternalTier
from heterollm_controllers.api.v1alpha1.tier import Tier
from heterollm_controllers.cost.saving import Demand, projected_saving, saving
from heterollm_controllers.metrics.tier_metrics import MeasuredTier, TierMetrics

__all__ = ["migration_saving"]


def migration_saving(spec: HeteroLLMClusterSpec, tiers: Sequence[MeasuredTier], percent: int) -> float | None:
    """Per cent saved; None when a tier, its price, its rate or what it is asked is not known.

    Compared with the last tier alone: with the engines it would need, or, of a service, with its bill for as many
    requests as it bills on average now.

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
    otherwise = replace(last, requests_per_second=total, least=0).dollars_per_hour
    if percent < 100:
        return projected_saving(demands, otherwise)
    share = saving(_bill(tiers, demands), otherwise)
    return None if share is None else 100 * share


def _demands(spec: HeteroLLMClusterSpec, tiers: Sequence[MeasuredTier]) -> list[Demand] | None:
    """What the tiers are asked for: as it is shared among them now, and as much as in the last hour on average."""
    if [tier.state.name for tier in tiers] != [tier.name for tier in spec.tiers]:
        return None
    offered = [tier.metrics.rate(TierSignal.OFFERED) for tier in tiers]
    known = [rate for rate in offered if rate is not None]
    if len(known) < len(offered) or not sum(known):
        return None
    usual = _of_the_last_hour(tiers) / sum(known)
    return [
        _demand(tier, item, rate * (usual or 1.0)) for tier, item, rate in zip(spec.tiers, tiers, known, strict=True)
    ]


def _demand(tier: Tier | ExternalTier, item: MeasuredTier, rate: float) -> Demand:
    if isinstance(tier, ExternalTier):
        return Demand(rate, None, None, dollars_per_request=_billed(tier.external, item.metrics))
    fewest = tier.replicas.bounds.fewest + tier.replicas.standby
    return Demand(rate, item.state.rate, item.state.engine_dollars_per_hour, fewest)


def _billed(service: ExternalService, metrics: TierMetrics) -> float | None:
    """Dollars per answer of a service; None where it has no prices, or its tokens are not counted."""
    prices = service.dollars_per_million_tokens
    tokens = [metrics.rate(signal) or 0.0 for signal in (TierSignal.PROMPT_TOKENS, TierSignal.COMPLETION_TOKENS)]
    if prices is None or not all(tokens):
        return None
    return (tokens[0] * prices.input + tokens[1] * prices.output) / 1e6


def _of_the_last_hour(tiers: Sequence[MeasuredTier]) -> float:
    """Requests per second of all tiers on average; 0 when nobody knows."""
    known = [[rate for rate in tier.metrics.history.rate if math.isfinite(rate)] for tier in tiers]
    return sum(fmean(rates) for rates in known if rates)


def _bill(tiers: Sequence[MeasuredTier], demands: Sequence[Demand]) -> float | None:
    """Dollars per hour of all engines that are there, whatever they do, and of services for what they are asked."""
    bill = 0.0
    for tier, demand in zip(tiers, demands, strict=True):
        if tier.state.external:
            dollars = demand.dollars_per_hour
        else:
            price, engines = demand.engine_dollars_per_hour, len(tier.state.engines) + tier.state.leaving
            dollars = None if price is None else price * engines
        if dollars is None:
            return None
        bill += dollars
    return bill
