"""What a reconcile decides on its way, and what fails: one failure stays one failure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from heterollm_controllers.api.objects import Event
from heterollm_controllers.api.v1alpha1.status import Decision
from heterollm_controllers.api.vocabulary import Reason
from heterollm_controllers.reconcile.internal_error import described

__all__ = ["Journal"]

T = TypeVar("T")

_WARNED = {
    Reason.ENGINE_RESTARTED,
    Reason.ENGINE_RELEASED,
    Reason.SCALING_LIMITED,
    Reason.TIER_ESCALATED,
    Reason.PURE_LARGE,
    Reason.MIGRATION_INCONCLUSIVE,
    Reason.MIGRATION_ROLLS_BACK,
}
"""Decisions that somebody should hear of."""


class Journal:
    """Decisions with their events, and the steps that failed.

    Attributes:
        failed: what failed and why, for people.
        defects: the errors, to be logged.
    """

    def __init__(self, now: datetime) -> None:
        self._now = now
        self.decisions: list[Decision] = []
        self.events: list[Event] = []
        self.failed: list[str] = []
        self.defects: list[Exception] = []

    def decide(self, action: Reason, subject: str, message: str) -> None:
        """Record a decision."""
        text = message[:1024]
        self.decisions.append(Decision(time=self._now, action=action, subject=subject, message=text))
        kind = "Warning" if action in _WARNED else "Normal"
        self.events.append(Event(kind, action, f"{subject}: {text}"))

    def attempt(self, what: str, step: Callable[[], T], otherwise: Callable[[], T]) -> T:
        """A step's result, or what holds otherwise if it fails by a defect of ours: the other steps go on.

        What the step decided before it failed is not decided.
        """
        decisions, events = len(self.decisions), len(self.events)
        try:
            return step()
        except Exception as error:
            del self.decisions[decisions:], self.events[events:]
            self.defects.append(error)
            self.failed.append(f"{what}: {described(error)}")
            return otherwise()
