"""Which namespaces are asked about together, so that no namespace's series make the queries fail for the others.

Normally all are. A pod can expose so many series that a query takes too long or that its answer is too large. Whatever
the cause, a query that fails for a group is asked in halves at the next tick, until those at fault are alone. With 64
namespaces that takes six ticks, for which the figures of before hold.
"""

from __future__ import annotations

from collections.abc import Collection

__all__ = ["EVERYTHING", "Group", "Isolation"]

Group = frozenset[str]
"""Namespaces that are asked about together."""
EVERYTHING: Group = frozenset()
"""The group of all, whose queries name no namespace."""

_MOST = 16
"""Groups under suspicion. With more it is no tenant's doing, and more queries would only add to it."""
_LISTED_SECONDS = 600.0
"""How long queries name the namespaces they are about after one failed: it may be a namespace without clusters."""


class Isolation:
    """What earlier ticks learned of groups."""

    def __init__(self) -> None:
        self._suspects: list[Group] = []
        self._listed_until = 0.0

    @property
    def suspects(self) -> list[Group]:
        """The groups for which queries have failed."""
        return self._suspects

    def groups(self, namespaces: Collection[str], now: float) -> list[Group]:
        """The groups to ask about, those under suspicion last. `now`: seconds of a monotonic clock."""
        known = frozenset(namespaces)
        self._suspects = [left for group in self._suspects if (left := group & known)]
        if not self._suspects and now >= self._listed_until:
            return [EVERYTHING]
        rest = known.difference(*self._suspects)
        return ([rest] if rest else []) + self._suspects

    def learn(self, namespaces: Collection[str], failed: Collection[Group], now: float, *, whole: bool) -> bool:
        """Note for which groups queries failed, for a reason that series can cause. Returns whether groups change.

        Without `whole`, not all queries were asked: who did not fail may still be at fault.
        """
        before = self._suspects
        suspects = [half for group in failed for half in _halves(group or frozenset(namespaces))]
        if not whole:
            suspects += [group for group in before if group not in failed]
        # If everything fails, nobody is at fault in particular.
        self._suspects = suspects if len(suspects) <= _MOST else []
        if self._suspects:
            self._listed_until = now + _LISTED_SECONDS
        return set(self._suspects) != set(before)


def _halves(group: Group) -> list[Group]:
    names = sorted(group)
    middle = len(names) // 2
    return [frozenset(half) for half in (names[:middle], names[middle:]) if half]
