"""What goes wrong, and when."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["OF_A_TIER", "Fault", "FaultKind", "Faults"]


class FaultKind(StrEnum):
    """Kinds of fault, as they are written on the command line."""

    FAIL = "fail"
    """A tier fails a share of what it is sent: `amount` in per cent."""
    SLOW = "slow"
    """All times of a tier are `amount` times as long."""
    KILL = "kill"
    """`amount` engines of a tier die at once, and start again."""
    NO_NODES = "nonodes"
    """New engines of a tier find no node."""
    PROMETHEUS_DOWN = "prometheus-down"
    PROMETHEUS_SLOW = "prometheus-slow"
    """Nothing is answered before the poller's deadline."""
    PROMETHEUS_GARBAGE = "prometheus-garbage"
    """Answers cannot be read."""
    PROMETHEUS_EMPTY = "prometheus-empty"
    """All queries succeed, and nothing is in the answers."""
    PROMETHEUS_NAN = "prometheus-nan"
    """All metrics are NaN."""
    PROMETHEUS_OLD = "prometheus-old"
    """It scrapes no more, and answers with what it had."""
    SCORER = "scorer"
    """No tier can be chosen for requests."""
    POLICY = "policy"
    """The routers refuse the policy."""
    RESTART = "restart"
    """The operator does not run; afterwards it knows what is recorded in status."""


OF_A_TIER = frozenset({FaultKind.FAIL, FaultKind.SLOW, FaultKind.KILL, FaultKind.NO_NODES})


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        start: second at which it begins; `seconds`: how long it lasts.
        tier: which one, for the kinds in OF_A_TIER.
        amount: per cent, factor or number, by the kind.
    """

    kind: FaultKind
    start: float
    seconds: float
    tier: str = ""
    amount: float = 0.0

    @property
    def end(self) -> float:
        return self.start + self.seconds

    def holds(self, second: float) -> bool:
        return self.start <= second < self.end


class Faults:
    """All faults of a simulation."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self._faults = tuple(faults)
        self._edges = sorted({0.0, *(fault.start for fault in faults), *(fault.end for fault in faults)})
        self._holding: tuple[Fault, ...] = ()
        self.until = -math.inf
        """Second at which the next fault begins or ends, after the last look."""

    def holding(self, second: float) -> tuple[Fault, ...]:
        """Those that hold; seconds must not go back."""
        if second >= self.until:
            self._holding = tuple(fault for fault in self._faults if fault.holds(second))
            self.until = next((edge for edge in self._edges if edge > second), math.inf)
        return self._holding
