"""Programmed: whether every child is as wanted, and the policy is published."""

from __future__ import annotations

from collections.abc import Sequence

from heterollm_controllers.api.objects import Failure
from heterollm_controllers.api.vocabulary import ConditionType, Reason
from heterollm_controllers.status.conditions import ConditionUpdate


def programmed(
    failures: Sequence[Failure], applying: bool, refused: int, defects: Sequence[str] = ()
) -> ConditionUpdate:
    if defects:
        return ConditionUpdate(ConditionType.PROGRAMMED, False, Reason.INTERNAL_ERROR, "; ".join(defects))
    if failures:
        conflict = any(failure.conflict for failure in failures)
        reason = Reason.NAME_CONFLICT if conflict else Reason.APPLY_FAILED
        return ConditionUpdate(ConditionType.PROGRAMMED, False, reason, "; ".join(map(str, failures)))
    if applying:
        return ConditionUpdate(
            ConditionType.PROGRAMMED, False, Reason.APPLYING, "objects of this generation are being applied"
        )
    if refused:
        message = f"a router does not take version {refused} of the routing policy, and serves by an older one"
        return ConditionUpdate(ConditionType.PROGRAMMED, False, Reason.POLICY_REFUSED, message)
    return ConditionUpdate(
        ConditionType.PROGRAMMED, True, Reason.APPLIED, "all objects are applied and the policy is published"
    )
