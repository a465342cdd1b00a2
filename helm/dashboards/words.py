"""What numbers of states are called, and in which color."""

from __future__ import annotations

from collections.abc import Sequence

from heterollm_controllers.api.vocabulary import GateState, MigrationState

__all__ = ["GATES", "LEVELS", "MET", "MIGRATIONS", "numbered"]

LEVELS = {0: ("Normal", "green"), 1: ("Escalated", "orange"), 2: ("PureLarge", "red")}
"""Of the fallback; level 1, retries within a request, is always there."""
MET = {0: ("missed", "orange"), 1: ("met", "green")}
MIGRATIONS: dict[int, tuple[MigrationState, str]] = {
    0: ("Observing", "blue"),
    1: ("Advancing", "green"),
    2: ("Holding", "yellow"),
    3: ("RollingBack", "red"),
    4: ("RolledBack", "orange"),
    5: ("Complete", "purple"),
}
GATES: dict[int, tuple[GateState, str]] = {
    0: ("Undecided", "blue"),
    1: ("Passed", "green"),
    2: ("Failed", "red"),
    3: ("BothFail", "orange"),
}


def numbered(series: Sequence[str], by: str) -> str:
    """The number of the state that something is in. `series`: of each state, in order, the series that is 1 in it."""
    found = " or ".join(f"{number} * {each}" for number, each in enumerate(series))
    return f"max by ({by}) ({found})" if by else f"max({found})"
