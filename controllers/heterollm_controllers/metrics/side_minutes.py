"""Requests by who was to answer them, minute by minute: what a migration is judged from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

__all__ = ["MINUTE", "Outcome", "Side", "SideMinutes"]

MINUTE = timedelta(minutes=1)

Outcome = Literal["ok", "slow", "whole", "failed"]
"""How a request ended: streamed, and begun in time or not; answered in one piece, of which nothing tells the first
byte; or failed by the tier that was to answer it. Those refused, or given up by clients, are none of these."""


class Side(NamedTuple):
    """Requests that wanted a tier; `diverted`: that the last tier was to answer in its place."""

    tier: str
    diverted: bool
    outcome: Outcome


@dataclass(frozen=True)
class SideMinutes:
    """How many requests ended, minute by minute.

    Attributes:
        until: the end of the last minute; None when nothing is known.
        counts: for each kind one figure per minute, oldest first, NaN where there is none. All are as long.
    """

    until: datetime | None = None
    counts: Mapping[Side, Sequence[float]] = field(default_factory=dict)

    def ends(self) -> list[datetime]:
        """The end of each minute, oldest first."""
        count = max(map(len, self.counts.values()), default=0)
        return [] if self.until is None else [self.until - MINUTE * (count - 1 - place) for place in range(count)]
