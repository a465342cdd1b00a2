"""What a migration means each tier to do: the last one answers what the others do not get."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from heterollm_controllers.api.signals import TierSignal
from heterollm_controllers.metrics.tier_metrics import MeasuredTier

__all__ = ["meant_load"]


def meant_load(tiers: Sequence[MeasuredTier], percent: int) -> list[MeasuredTier]:
    """The tiers as if their requests had wanted the tier that is to answer them.

    Without it a tier that gets a tenth of its requests would keep engines for all, and one that gets none would be
    woken up by them. What is not known stays so.

    Args:
        tiers: cheapest first.
        percent: share of their requests that all but the last are to get.
    """
    if percent == 100 or len(tiers) < 2:
        return list(tiers)
    *others, last = tiers
    diverted = sum((tier.metrics.rate(TierSignal.OFFERED) or 0.0) * (100 - percent) / 100 for tier in others)
    kept = [_offered(tier, (tier.metrics.rate(TierSignal.OFFERED) or 0.0) * percent / 100) for tier in others]
    return [*kept, _offered(last, (last.metrics.rate(TierSignal.OFFERED) or 0.0) + diverted)]


def _offered(tier: MeasuredTier, rate: float) -> MeasuredTier:
    rates = tier.metrics.rates
    if rates is None:
        return tier
    return tier._replace(metrics=replace(tier.metrics, rates={**rates, TierSignal.OFFERED: rate}))
