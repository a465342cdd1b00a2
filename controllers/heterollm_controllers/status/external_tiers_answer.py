"""ExternalTiersAnswer: whether the services outside of the cluster do, as far as the routers see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from heterollm_controllers.api.v1alpha1.status import ExternalTierStatus
from heterollm_controllers.api.vocabulary import ConditionType, Reason
from heterollm_controllers.status.conditions import ConditionUpdate

__all__ = ["external_tiers_answer"]

_SAYS: Mapping[str, str] = {
    Reason.KEY_REFUSED: "refuses the key, or its account",
    Reason.MODEL_NOT_FOUND: "does not know the model, or the address is wrong",
    Reason.UNREACHABLE: "cannot be reached, or its certificate is not trusted",
}


def external_tiers_answer(tiers: Sequence[ExternalTierStatus]) -> list[ConditionUpdate]:
    """The condition; none for a cluster without such tiers."""
    if not tiers:
        return []
    kind = ConditionType.EXTERNAL_TIERS_ANSWER
    found = [(tier, problem) for tier in tiers for problem in _SAYS if tier.problem == problem]
    if found:
        message = "; ".join(f"tier {tier.name}: {tier.url} {_SAYS[problem]}" for tier, problem in found)
        return [ConditionUpdate(kind, False, Reason(found[0][1]), message)]
    return [ConditionUpdate(kind, True, Reason.NO_PROBLEM, "no request has met a problem of theirs")]
