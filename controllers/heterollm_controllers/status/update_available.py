"""UpdateAvailable: whether this operator has a newer template than the engines use."""

from __future__ import annotations

from collections.abc import Sequence

from heterollm_controllers.api.vocabulary import ConditionType, Reason
from heterollm_controllers.engines.tier_view import TierView
from heterollm_controllers.status.conditions import ConditionUpdate


def update_available(views: Sequence[TierView]) -> ConditionUpdate:
    tiers = [view.chosen.tier.name for view in views if view.chosen.update_available]
    if tiers:
        how = "change the tier's pods, or the annotation serving.heterollm.io/update, to roll it out"
        message = f"this operator would start the engines of {', '.join(tiers)} differently; {how}"
        return ConditionUpdate(ConditionType.UPDATE_AVAILABLE, True, Reason.TEMPLATE_CHANGED, message)
    return ConditionUpdate(
        ConditionType.UPDATE_AVAILABLE, False, Reason.UP_TO_DATE, "engines run this operator's templates"
    )
