"""The journal of decisions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from heterollm_controllers.api.v1alpha1.status import (
    Decision,
)

__all__ = ["JOURNAL_LENGTH", "journal"]

JOURNAL_LENGTH = 20


def journal(before: Iterable[Mapping[str, Any]], decisions: Sequence[Decision]) -> tuple[Decision, ...]:
    """The latest decisions, oldest first."""
    past = [Decision.model_validate(item) for item in before]
    return tuple([*past, *decisions][-JOURNAL_LENGTH:])
