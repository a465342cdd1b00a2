"""Conditions with transition times that change only when the status does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from heterollm_controllers.api.objects import Event
from heterollm_controllers.api.v1alpha1.status import Condition, HeteroLLMClusterStatus
from heterollm_controllers.api.vocabulary import ConditionType, Reason

__all__ = ["ConditionUpdate", "conditions", "previous", "transitions"]


class ConditionUpdate(NamedTuple):
    """What a condition should say from now on."""

    type: ConditionType
    holds: bool | None
    """None: unknown."""
    reason: Reason
    message: str


_STATUS: dict[bool | None, Literal["True", "False", "Unknown"]] = {True: "True", False: "False", None: "Unknown"}

_REPORTED = {ConditionType.ACCEPTED, ConditionType.PROGRAMMED, ConditionType.READY, ConditionType.EXTERNAL_TIERS_ANSWER}
"""Conditions whose transitions become Events; the others follow from these."""


def previous(status: HeteroLLMClusterStatus) -> dict[str, Condition]:
    """The conditions of an earlier status by type."""
    return {condition.type: condition for condition in status.conditions}


def conditions(
    updates: Iterable[ConditionUpdate], before: Mapping[str, Condition], generation: int, now: datetime
) -> tuple[Condition, ...]:
    """The conditions of this generation."""
    return tuple(_condition(update, before.get(update.type), generation, now) for update in updates)


def _condition(update: ConditionUpdate, before: Condition | None, generation: int, now: datetime) -> Condition:
    status = _STATUS[update.holds]
    unchanged = before is not None and before.status == status
    return Condition(
        type=update.type,
        status=status,
        reason=update.reason,
        message=update.message[:4096],
        observed_generation=generation,
        last_transition_time=before.last_transition_time if before is not None and unchanged else now,
    )


def transitions(before: Mapping[str, Condition], after: Sequence[Condition]) -> list[Event]:
    """An Event for every reported condition that changed its status or its reason for not being True."""
    events = []
    for condition in after:
        old = before.get(condition.type)
        is_new_failure = condition.status != "True" and (old is None or old.reason != condition.reason)
        is_flip = old is not None and old.status != condition.status
        first_success = old is None and condition.status == "True" and condition.type == ConditionType.READY
        on_its_way = condition.reason == Reason.APPLYING
        if condition.type in _REPORTED and not on_its_way and (is_new_failure or is_flip or first_success):
            kind = "Normal" if condition.status == "True" or condition.type == ConditionType.READY else "Warning"
            events.append(Event(kind, condition.reason, f"{condition.type}={condition.status}: {condition.message}"))
    return events
