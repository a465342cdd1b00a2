"""Why a service outside of the cluster does not answer for its tier: what its owner has to see to."""

from __future__ import annotations

from heterollm_controllers.api.signals import TierSignal
from heterollm_controllers.api.vocabulary import Reason
from heterollm_controllers.metrics.tier_metrics import TierMetrics

__all__ = ["problem_of"]


def problem_of(metrics: TierMetrics, before: str | None) -> str | None:
    """What is wrong with a service, from what its requests met. Silence says nothing: then it is as before."""
    answered, key, name, lost = (
        metrics.rate(signal)
        for signal in (
            TierSignal.ANSWERED,
            TierSignal.KEY_REFUSED,
            TierSignal.NOT_FOUND,
            TierSignal.UNREACHABLE,
        )
    )
    if answered is None or key is None or name is None or lost is None:
        return before
    if key:
        return Reason.KEY_REFUSED
    if name:
        return Reason.MODEL_NOT_FOUND
    if answered:
        return None  # a connection that is lost now and then is no problem
    return Reason.UNREACHABLE if lost else before
