"""What a cluster's status says when the operator itself fails on it: nobody should have to read the operator's log."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from heterollm_controllers.api.v1alpha1.status import Condition
from heterollm_controllers.api.vocabulary import ConditionType, Reason
from heterollm_controllers.reconcile.contract import Outcome
from heterollm_controllers.status.conditions import ConditionUpdate, conditions, transitions

__all__ = ["described", "internal_error"]

_LENGTH = 300
"""Characters of an error's own text: it may hold a whole spec."""


def described(error: Exception) -> str:
    """An unexpected error in one line, for people."""
    text = " ".join(str(error).split())[:_LENGTH]
    return f"{type(error).__name__}: {text} (a defect of the operator; its log has the details, and it tries again)"


def internal_error(cluster: Mapping[str, Any], error: Exception, now: datetime) -> Outcome:
    """The status of a cluster that could not be reconciled: as it was, and with the error in its conditions.

    It is made of raw data, as the error may be that the status cannot be parsed. What the error leaves open, such as
    whether the spec is accepted, stays as it was said of the last generation that could be judged.
    """
    metadata, status = cluster["metadata"], cluster.get("status") or {}
    generation: int = metadata["generation"]
    raw = {item["type"]: item for item in status.get("conditions") or []}
    before = _readable(raw)
    if _said_already(before.get(ConditionType.PROGRAMMED), error, generation):
        return Outcome(status=dict(status))
    message = described(error)
    updates = [
        ConditionUpdate(ConditionType.PROGRAMMED, False, Reason.INTERNAL_ERROR, message),
        ConditionUpdate(ConditionType.READY, False, Reason.INTERNAL_ERROR, message),
        ConditionUpdate(ConditionType.RECONCILING, False, Reason.SETTLED, "nothing to do"),
        ConditionUpdate(ConditionType.STALLED, True, Reason.INTERNAL_ERROR, message),
    ]
    said = conditions(updates, before, generation, now)
    new = {item.type: item.model_dump(mode="json", by_alias=True) for item in said}
    merged = {**status, "observedGeneration": generation, "conditions": [*{**raw, **new}.values()]}
    return Outcome(status=merged, events=tuple(transitions(before, said)))


def _readable(raw: Mapping[str, Any]) -> dict[str, Condition]:
    """Those of the conditions that can be parsed."""
    found = {}
    for kind, item in raw.items():
        with suppress(ValidationError):
            found[kind] = Condition.model_validate(item)
    return found


def _said_already(programmed: Condition | None, error: Exception, generation: int) -> bool:
    """The same kind of error is said once: texts that differ at every try would wake the cluster each time."""
    if programmed is None or programmed.reason != Reason.INTERNAL_ERROR or programmed.observed_generation != generation:
        return False
    return programmed.message.startswith(f"{type(error).__name__}:")
