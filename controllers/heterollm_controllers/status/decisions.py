"""The journal of decisions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from heterollm_controllers.api.v1alpha1.status import (
    Decision,
)

__all__ = ["JOURNAL_LENGTH", "journal"]

JOURNAL_LENGTH = 20


def journal(before: Iterable[Decision], decisions: Sequence[Decision]) -> tuple[Decision, ...]:
    """The latest decisions, oldest first."""
    return tuple([*before, *decisions][-JOURNAL_LENGTH:])
