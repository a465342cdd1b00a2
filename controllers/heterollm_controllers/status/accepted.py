"""Accepted: whether the spec can be carried out."""

from __future__ import annotations

from collections.abc import Sequence

from heterollm_controllers.api.errors import Impossible
from heterollm_controllers.api.vocabulary import ConditionType, Reason
from heterollm_controllers.status.conditions import ConditionUpdate


def accepted(refusals: Sequence[Impossible]) -> ConditionUpdate:
    if not refusals:
        return ConditionUpdate(ConditionType.ACCEPTED, True, Reason.VALID, "the spec can be carried out")
    certain = [item for item in refusals if item.reason != Reason.NOT_CHECKED]
    message = "; ".join(dict.fromkeys(item.message for item in refusals))
    return ConditionUpdate(ConditionType.ACCEPTED, False if certain else None, (certain or refusals)[0].reason, message)
