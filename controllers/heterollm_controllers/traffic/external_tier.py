"""Why a service outside of the cluster does not answer for its tier: what its owner has to see to."""

from __future__ import annotations

from heterollm_controllers.api.signals import TierSignal
from heterollm_controllers.api.vocabulary import ExternalProblem
from heterollm_controllers.metrics.tier_metrics import TierMetrics

__all__ = ["problem_of"]


def problem_of(metrics: TierMetrics, before: ExternalProblem | None) -> ExternalProblem | None:
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
        return "KeyRefused"
    if name:
        return "ModelNotFound"
    if answered:
        return None  # a connection that is lost now and then is no problem
    return "Unreachable" if lost else before
