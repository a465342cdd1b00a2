"""What a simulation came to: how requests were answered, for how many GPU-hours, and which decisions were wrong."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from heterollm_controllers.cost.prices import dollars
from heterollm_controllers.cost.saving import counterfactual, saving
from heterollm_controllers.simulation.faults import OF_A_TIER, Fault, FaultKind
from heterollm_controllers.simulation.run import TICK, Moment, Simulation

__all__ = ["Summary", "TierSummary", "WrongDecisions", "summarised"]

_HOUR = 3600
"""Seconds."""
_PATIENCE, _PATIENCE_OF_LAST = 300, 1800
"""Seconds within which a change of direction counts as wrong."""


@dataclass(frozen=True)
class TierSummary:
    """Of one tier.

    Attributes:
        answered: requests that it answered.
        within_objective: of them, the share whose first token came in time, 0 to 1.
        gpu_hours: that its engines occupied, whatever they did.
        dollars: for them; None when no price is known.
        peak_engines: that occupied GPUs at once.
        peak_queue: requests that waited at once.
    """

    name: str
    answered: float
    within_objective: float
    gpu_hours: float
    dollars: float | None
    engine_hours: float
    peak_engines: int
    peak_queue: float


@dataclass(frozen=True)
class WrongDecisions:
    """Decisions that hindsight disapproves of, in number.

    Attributes:
        needless_raises: engines were added, and those there were could have done all work until some left again, or
            until the end.
        hasty_drops: an engine left and one was added again within the tier's patience (5 min, the last tier 30 min).
        flips: the tier changed its direction more than once within that time.
        false_alarms: a fallback began while no fault held.
    """

    needless_raises: int
    hasty_drops: int
    flips: int
    false_alarms: int

    @property
    def total(self) -> int:
        return self.needless_raises + self.hasty_drops + self.false_alarms


@dataclass(frozen=True)
class Summary:
    """Of a whole cluster; all metrics are simulated.

    Attributes:
        offered: requests that came; answered, refused (429), failed: what became of them.
        within_objective: share of all offered requests that were answered and whose first token came in time, 0 to 1.
        seconds_in: seconds in each state of the fallback.
        dollars: for all GPU-hours; None when a price is not known, as for all that is made of it.
        counterfactual_dollars: what the last tier would have cost, had it answered all by itself, with as many engines
            as each hour's requests need at full rate, and 5 % to spare.
        saving: the share of these dollars that was not spent, up to 1; negative for a loss.
        decisions: in number, by action.
    """

    seconds: int
    offered: float
    answered: float
    refused: float
    failed: float
    within_objective: float
    gpu_hours: float
    dollars: float | None
    dollars_per_1000: float | None
    counterfactual_dollars: float | None
    saving: float | None
    tiers: tuple[TierSummary, ...]
    seconds_in: dict[str, int]
    decisions: dict[str, int]
    wrong: WrongDecisions

    def as_data(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def summarised(simulation: Simulation) -> Summary:
    """The summary of a simulation that has run."""
    cluster = simulation.cluster
    counts = cluster.routers.counts
    offered = sum(count.offered for count in counts) + cluster.undecided
    answered = sum(answers.answered for answers in cluster.answers)
    tiers = tuple(_tier(simulation, index) for index in range(len(cluster.names)))
    spent = _total(tier.dollars for tier in tiers)
    otherwise = _counterfactual(simulation)
    good = sum(answers.good for answers in cluster.answers)
    return Summary(
        seconds=simulation.scenario.seconds,
        offered=offered,
        answered=answered,
        refused=sum(count.refused for count in counts),
        failed=sum(count.lost for count in counts),
        within_objective=min(1.0, good / offered) if offered else 1.0,
        gpu_hours=sum(tier.gpu_hours for tier in tiers),
        dollars=spent,
        dollars_per_1000=1000 * spent / answered if spent is not None and answered else None,
        counterfactual_dollars=otherwise,
        saving=saving(spent, otherwise),
        tiers=tiers,
        seconds_in={state: TICK * number for state, number in Counter(m.state for m in simulation.moments).items()},
        decisions=dict(Counter(decision.action for decision in simulation.decisions)),
        wrong=_wrong(simulation),
    )


def _tier(simulation: Simulation, index: int) -> TierSummary:
    fleet, answers = simulation.cluster.fleets[index], simulation.cluster.answers[index]
    hours = answers.engine_seconds / 3600
    return TierSummary(
        name=fleet.name,
        answered=answers.answered,
        within_objective=min(1.0, answers.good / answers.answered) if answers.answered >= 1 else 1.0,
        gpu_hours=hours * fleet.model.gpus,
        dollars=dollars(answers.engine_seconds, fleet.model.dollars_per_hour),
        engine_hours=hours,
        peak_engines=max((moment.present[index] for moment in simulation.moments), default=0),
        peak_queue=max((moment.queue[index] for moment in simulation.moments), default=0.0),
    )


def _total(parts: Iterable[float | None]) -> float | None:
    """The sum; None if a part is not known."""
    known = list(parts)
    return None if None in known else sum(part for part in known if part is not None)


def _counterfactual(simulation: Simulation) -> float | None:
    """What it would have cost without the smaller tiers, hour by hour, as the recording rules reckon it."""
    moments, model = simulation.moments, simulation.cluster.fleets[-1].model
    hours = [moments[start : start + _HOUR // TICK] for start in range(0, len(moments), _HOUR // TICK)]
    prices = (counterfactual(_answered(hour), model.rate, model.dollars_per_hour) for hour in hours)
    return _total(dollars(TICK * len(hour), price) for hour, price in zip(hours, prices, strict=True))


def _answered(moments: Sequence[Moment]) -> float:
    """Requests per second, on average."""
    return sum(sum(one.offered) - sum(one.refused) - sum(one.failed) for one in moments) / len(moments)


def _wrong(simulation: Simulation) -> WrongDecisions:
    moments = simulation.moments
    needless = hasty = flips = 0
    last = len(simulation.cluster.names) - 1
    for index, fleet in enumerate(simulation.cluster.fleets):
        targets = [moment.target[index] for moment in moments]
        changes = [
            (tick, after - before) for tick, (before, after) in enumerate(pairwise(targets), 1) if after != before
        ]
        patience = (_PATIENCE_OF_LAST if index == last else _PATIENCE) / TICK
        hasty += sum(
            first[1] < 0 < second[1] and second[0] - first[0] < patience for first, second in pairwise(changes)
        )
        flips += _flips(changes, patience)
        needless += sum(_needless(moments, index, fleet.model.rate, raised) for raised in _raises(targets))
    alarms = sum(
        before.state == "Normal" != after.state and not _explained(simulation.scenario.faults, after.second)
        for before, after in pairwise(moments)
    )
    return WrongDecisions(needless, hasty, flips, alarms)


def _flips(changes: Sequence[tuple[int, int]], patience: float) -> int:
    """Changes of direction that follow another within the patience."""
    turns = [tick for (_, before), (tick, after) in pairwise(changes) if (before > 0) != (after > 0)]
    return sum(second - first < patience for first, second in pairwise(turns))


def _raises(targets: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Of every raise: its tick, the engines before, and the tick at which fewer than the new number are wanted."""
    for tick, (before, after) in enumerate(pairwise(targets), 1):
        if after > before:
            end = next((later for later in range(tick, len(targets)) if targets[later] <= before), len(targets))
            yield tick, before, end


def _needless(moments: Sequence[Moment], index: int, rate: float, raised: tuple[int, int, int]) -> bool:
    """Whether the engines before the raise could have done what came, with nothing waiting and no fallback."""
    tick, before, end = raised
    span = moments[max(0, tick - 60 // TICK) : end]
    room = 60 // TICK
    for start in range(0, len(span), room):
        part = span[start : start + room]
        came = sum(moment.offered[index] for moment in part) / len(part)
        if math.ceil(came / rate) > before or any(moment.queue[index] >= 1 for moment in part):
            return False
        if any(moment.state != "Normal" for moment in part):
            return False
    return True


def _explained(faults: Sequence[Fault], second: int) -> bool:
    """Whether a fault held lately that a fallback is for."""
    return any(fault.start <= second <= fault.end + 120 for fault in faults if fault.kind in _REASONS)


_REASONS = OF_A_TIER | {FaultKind.SCORER, FaultKind.POLICY}
