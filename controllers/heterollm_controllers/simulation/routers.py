"""What the routers do with a second's requests: which tier tries them, how often, and which are refused.

A request goes twice to its tier and twice to the next, as far as retries are allowed; tiers without a usable engine are
passed over. A diverted share goes to the last tier first. A tier takes no more than it may have in flight.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["Counts", "Outcome", "RouterModel", "TierState"]

_EJECTED_AFTER = 5
"""Failures in a row after which an engine gets no requests for a while."""
_REST, _LONGEST_REST = 10.0, 60.0
"""Seconds that an ejected engine rests, by the number of times, and at most."""
_FREE_RETRIES = 3.0
"""Per second, whatever the budget says."""
_SAVINGS = 100.0
"""Most retries that are saved up while all goes well."""


@dataclass
class TierState:
    """What the routers meet at one tier in a second.

    Attributes:
        engines: that get requests.
        room: how many more requests it may take within this second.
        failing: share of attempts that it fails, 0 to 1.
        ejected: share of its engines that the routers have ejected; `ejections`: how often each, on average.
        patience: attempts within this second until the routers will have ejected all its engines.
    """

    engines: int = 0
    room: float = 0.0
    failing: float = 0.0
    ejected: float = 0.0
    ejections: float = 0.0
    patience: float = math.inf

    @property
    def usable(self) -> float:
        """Probability that an engine is there to take an attempt."""
        if not self.engines:
            return 0.0
        # A failing tier is tried as long as any engine is left; see `patience`.
        return 1.0 if self.failing > 0 else 1 - self.ejected**self.engines


@dataclass
class Counts:
    """Requests of one tier since the start, in number: what the routers count."""

    offered: float = 0.0
    tried: float = 0.0
    failed: float = 0.0
    refused: float = 0.0
    spilled: float = 0.0
    retries: float = 0.0
    diverted: float = 0.0
    diverted_failed: float = 0.0
    lost: float = 0.0
    """Of `failed` and `diverted_failed`: those that nobody answered."""


@dataclass
class Outcome:
    """A second's requests.

    Attributes:
        arrivals: admitted requests by the tier that works on them.
        attempts: all that reached an engine, failures included, by tier.
    """

    arrivals: list[float]
    attempts: list[float]


@dataclass
class RouterModel:
    """All routers of a cluster together.

    Attributes:
        tiers: number of tiers.
        retries: most retries of a request.
        budget: retries of failed answers, as a share of the good ones.
        diverted: share of each tier's requests, 0 to 1, that goes to the last tier first, and of the last tier's to
            the one before it.
    """

    tiers: int
    retries: int = 3
    budget: float = 0.5
    diverted: list[float] = field(default_factory=list)
    states: list[TierState] = field(default_factory=list)
    counts: list[Counts] = field(default_factory=list)
    _saved: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.diverted = self.diverted or [0.0] * self.tiers
        self.states = [TierState() for _ in range(self.tiers)]
        self.counts = [Counts() for _ in range(self.tiers)]
        self._saved = [_SAVINGS] * self.tiers

    @property
    def calm(self) -> bool:
        """Whether no engine is ejected."""
        return not any(state.ejected for state in self.states)

    def route(self, wanted: Sequence[float]) -> Outcome:
        """Send a second's requests, or while all is calm some seconds', in number by the tier they are meant for."""
        for state in self.states[:-1]:
            left = state.engines * (1 - state.ejected)
            state.patience = left * _attempts_per_ejection(state.failing) if state.failing > 0 else math.inf
        outcome = Outcome([0.0] * self.tiers, [0.0] * self.tiers)
        for tier, number in enumerate(wanted):
            if number <= 0:
                continue
            self.counts[tier].offered += number
            aside = number * self.diverted[tier] if self.tiers > 1 else 0.0
            if number > aside:
                self._own(tier, number - aside, outcome)
            if aside > 0:
                self._aside(tier, aside, outcome)
        return outcome

    def undecided(self, number: float, outcome: Outcome) -> None:
        """Send requests for which no tier could be chosen: the last one answers, and no tier was wanted."""
        last = self.tiers - 1
        _, failed, refused = self._try(last, number, [last] * 4, outcome)
        self.counts[last].refused += refused
        self.counts[last].lost += failed

    def resend(self, tier: int, number: float, outcome: Outcome) -> None:
        """Send again what a dead engine had; it has been counted as tried, and costs no retry of the budget."""
        self._own(tier, number, outcome, again=True)

    def _own(self, tier: int, number: float, outcome: Outcome, *, again: bool = False) -> None:
        """Requests that their tier is to answer itself."""
        count = self.counts[tier]
        state = self.states[tier]
        if state.failing <= 0 and state.ejected <= 0 and state.engines and number <= state.room:
            # As nearly always: all is well.
            self._answered(tier, number, outcome)
            count.tried += 0.0 if again else number
            return
        last = self.tiers - 1
        order = [tier] * 2 + [min(tier + 1, last)] * 2 + list(range(tier + 2, self.tiers))
        answered, failed, refused = self._try(tier, number, order, outcome)
        elsewhere = sum(share for index, share in enumerate(answered) if index != tier)
        count.tried += 0.0 if again else number - refused
        count.failed += elsewhere + failed
        count.spilled += elsewhere
        count.refused += refused
        count.lost += failed

    def _answered(self, tier: int, number: float, outcome: Outcome) -> None:
        self.states[tier].room -= number
        outcome.attempts[tier] += number
        outcome.arrivals[tier] += number
        self._saved[tier] = min(_SAVINGS, self._saved[tier] + self.budget * number)

    def _aside(self, tier: int, number: float, outcome: Outcome) -> None:
        """Requests that another tier is to answer in its place; if it cannot, they fall back to their own."""
        count = self.counts[tier]
        last = self.tiers - 1
        other = last if tier < last else last - 1
        answered, failed, refused = self._try(tier, number, [other] * 2 + [tier] * 2, outcome)
        count.spilled += sum(share for index, share in enumerate(answered) if index != tier)
        count.diverted += number - refused
        count.diverted_failed += answered[tier] + failed
        count.refused += refused
        count.lost += failed

    def _try(
        self, tier: int, number: float, order: Sequence[int], outcome: Outcome
    ) -> tuple[list[float], float, float]:
        """Attempts in turn; requests answered by each tier, failed and refused.

        `fresh` requests have met no engine yet, `again` ones have failed before and need a retry.
        """
        answered, refused, retries = [0.0] * self.tiers, 0.0, 0
        fresh, again = number, 0.0
        budget = self._saved[tier] + _FREE_RETRIES
        for target in order:
            state = self.states[target]
            usable = state.usable
            if usable <= 0 or state.patience <= 0:
                continue
            first = min(fresh * usable, state.patience)
            retried = 0.0
            if again > 0 and retries < self.retries:
                retries += 1
                retried = min(again * usable, budget, state.patience - first)
                budget -= retried
            attempt = first + retried
            state.patience -= attempt
            admitted = min(attempt, state.room)
            good = admitted * (1 - state.failing)
            state.room -= good
            outcome.attempts[target] += admitted
            outcome.arrivals[target] += good
            answered[target] += good
            refused += attempt - admitted
            self.counts[tier].retries += retried
            again += admitted - good - retried
            fresh -= first
            if fresh + again <= 0:
                break
        self._saved[tier] = min(_SAVINGS, max(0.0, budget - _FREE_RETRIES) + self.budget * sum(answered))
        return answered, max(0.0, fresh + again), refused

    def eject(self, attempts: Sequence[float]) -> None:
        """Engines that failed several times in a row rest, the longer the more often they did."""
        for index, (state, number) in enumerate(zip(self.states, attempts, strict=True)):
            share = state.failing
            if share <= 0 and state.ejected <= 0:
                state.ejections = 0.0
                continue
            rest = min(_LONGEST_REST, _REST * max(1.0, state.ejections))
            back = state.ejected / rest
            struck = 0.0
            if share > 0 and state.engines > 0 and state.ejected < 1:
                streak = (
                    _EJECTED_AFTER if share >= 1 else (1 - share**_EJECTED_AFTER) / (1 - share) / share**_EJECTED_AFTER
                )
                struck = min(1 - state.ejected, number / state.engines / streak)
            most = 0.5 if index == self.tiers - 1 else 1.0
            state.ejections += struck
            state.ejected = min(most, max(0.0, state.ejected + struck - back))
            if state.ejected < 1e-3:
                state.ejected = 0.0


def _attempts_per_ejection(failing: float) -> float:
    """Attempts until so many in a row have failed, on average."""
    if failing >= 1:
        return _EJECTED_AFTER
    return (1 - failing**_EJECTED_AFTER) / (1 - failing) / failing**_EJECTED_AFTER
