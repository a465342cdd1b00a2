"""The journal of decisions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from heterollm_controllers.api.v1alpha1.status import (
    Decision,
)

__all__ = ["JOURNAL_LENGTH", "journal"]

JOURNAL_LENGTH = 20
_OF_MIGRATION = 12
"""A migration decides once in days or weeks, and all of it is to be read at its end: scaling must not push it out."""


def journal(before: Iterable[Decision], decisions: Sequence[Decision]) -> tuple[Decision, ...]:
    """The latest decisions, oldest first; of a migration, the latest twelve stay longer than others."""
    found = [*before, *decisions]
    while len(found) > JOURNAL_LENGTH:
        others = [place for place, item in enumerate(found) if not item.action.startswith("Migration")]
        few = len(found) - len(others) <= _OF_MIGRATION
        del found[others[0] if few else 0]
    return tuple(found)
