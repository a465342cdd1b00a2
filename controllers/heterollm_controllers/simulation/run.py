"""The loop of a simulation: traffic and faults every second, a scrape now and then, a decision every tick."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.api.v1alpha1.status import Decision
from heterollm_controllers.metrics.readings import Readings
from heterollm_controllers.simulation.cluster import Cluster
from heterollm_controllers.simulation.engine_model import EngineModel
from heterollm_controllers.simulation.faults import Fault, FaultKind, Faults
from heterollm_controllers.simulation.policy_under_test import Decider, Orders
from heterollm_controllers.simulation.scrape import Prometheus
from heterollm_controllers.simulation.traffic import Traffic, poisson

__all__ = ["START", "Moment", "Scenario", "Simulation", "Tick"]

START = datetime(2026, 1, 1, tzinfo=UTC)
TICK = 5
"""Seconds from one decision to the next."""


@dataclass(frozen=True)
class Scenario:
    """What is simulated.

    Attributes:
        models: of each tier's engines, by its name.
        seconds: how long.
        objective: seconds within which first tokens should come.
        engines: serving at the start, by tier; the fewest of the spec for tiers that are not named.
        seed: of the randomness of arrivals.
    """

    spec: HeteroLLMClusterSpec
    models: Mapping[str, EngineModel]
    traffic: Traffic
    seconds: int
    faults: tuple[Fault, ...] = ()
    objective: float = 0.2
    scrape_seconds: int = 15
    engines: Mapping[str, int] = field(default_factory=dict)
    seed: int = 1


@dataclass(frozen=True)
class Moment:
    """How things were at one tick. By tier, in the order of the spec.

    Attributes:
        second: from the start.
        offered: requests per second since the last tick.
        refused: of them (429); `failed`: those that nobody answered.
        queue: requests that wait in engines.
        serving: engines that get requests; `present`: that occupy GPUs; `target`: that were decided.
        state: of the fallback.
    """

    second: int
    offered: tuple[float, ...]
    refused: tuple[float, ...]
    failed: tuple[float, ...]
    queue: tuple[float, ...]
    serving: tuple[int, ...]
    present: tuple[int, ...]
    target: tuple[int, ...]
    state: str


@dataclass(frozen=True)
class Tick:
    """One decision: when, from which metrics, and what it was. For tests that look on."""

    second: int
    readings: Readings | None
    orders: Orders


class Simulation:
    """One run. The result is in `moments`, `decisions` and `cluster`."""

    def __init__(self, scenario: Scenario, decider: Decider) -> None:
        self.scenario = scenario
        self.cluster = Cluster(
            scenario.spec,
            scenario.models,
            start=START,
            objective=scenario.objective,
            engines=scenario.engines,
        )
        self.moments: list[Moment] = []
        self.decisions: list[Decision] = []
        self._decider = decider
        self._prometheus = Prometheus(self.cluster, START, scenario.scrape_seconds)
        self._faults = Faults(scenario.faults)
        self._random = random.Random(scenario.seed)
        self._due: list[list[float]] = []
        self._orders: Orders | None = None
        self._before = self._counted()
        self._down = False
        self._killed: set[Fault] = set()

    def run(self, watch: Callable[[Tick], None] | None = None, progress: Callable[[int], None] | None = None) -> None:
        """Simulate all of it.

        Args:
            watch: is told every decision.
            progress: is told the second at every simulated hour.
        """
        second, told = 0, 0
        while second < self.scenario.seconds:
            second += self._step(second, watch)
            if progress is not None and second >= told + 3600:
                told += 3600
                progress(second)

    def _step(self, second: int, watch: Callable[[Tick], None] | None) -> int:
        """Simulate a second, or all until the next tick if little happens; how many it was."""
        faults = self._faults.holding(second)
        kinds = {fault.kind for fault in faults}
        if self._orders is not None:
            # Decided in the second before, and recorded since.
            self._carry_out(self._orders, second)
            self._orders = None
        self._nodes(faults)
        seconds = TICK if not faults and self._is_calm(second) else 1
        self.cluster.step(second, self._arrivals(second, seconds), self._once(faults), seconds)
        end = second + seconds - 1
        if end % self.scenario.scrape_seconds == 0 and FaultKind.PROMETHEUS_OLD not in kinds:
            self._prometheus.scrape(end)
        if end % 60 == 0 and end > 0:
            self._prometheus.end_minute()
        if end % TICK == 0:
            self._tick(end, kinds, watch)
        return seconds

    def _is_calm(self, second: int) -> bool:
        """Whether nothing will be seen, decided or broken before the next tick, and little happens."""
        ahead = second + TICK
        fits = second % TICK == 1 and ahead <= min(self.scenario.seconds, self._faults.until)
        return fits and self.scenario.scrape_seconds % TICK == 0 and self.cluster.calm

    def _arrivals(self, second: int, seconds: int) -> list[float]:
        """Requests of some seconds by the tier they are meant for: the first or the last.

        They are drawn for the time between two ticks at once, so that they do not depend on what happens meanwhile.
        """
        if not self._due:
            self._draw(second)
        taken, self._due = self._due[:seconds], self._due[seconds:]
        return [sum(numbers) for numbers in zip(*taken, strict=True)] if seconds > 1 else taken[0]

    def _draw(self, second: int) -> None:
        """All requests up to the next tick, by second and tier; within that time they come as evenly as the load."""
        loads = [self.scenario.traffic.at(second + after) for after in range((-second) % TICK + 1)]
        between = [0.0] * (len(self.cluster.fleets) - 2)
        small = [load.rate * (1 - load.large_share) for load in loads]
        large = [load.rate * load.large_share for load in loads]
        if len(self.cluster.fleets) == 1:
            self._due = [[number] for number in self._spread([load.rate for load in loads])]
        else:
            pairs = zip(self._spread(small), self._spread(large), strict=True)
            self._due = [[first, *between, last] for first, last in pairs]

    def _spread(self, rates: Sequence[float]) -> list[float]:
        total = sum(rates)
        number = poisson(self._random, total)
        return [number * rate / total for rate in rates] if total > 0 else [0.0] * len(rates)

    def _once(self, faults: Sequence[Fault]) -> Sequence[Fault]:
        """Without the kills that have struck."""
        due = [fault for fault in faults if fault not in self._killed]
        self._killed.update(fault for fault in due if fault.kind is FaultKind.KILL)
        return due

    def _nodes(self, faults: Sequence[Fault]) -> None:
        without = {fault.tier for fault in faults if fault.kind is FaultKind.NO_NODES}
        for fleet in self.cluster.fleets:
            fleet.nodes_free = fleet.name not in without

    def _tick(self, second: int, kinds: set[FaultKind], watch: Callable[[Tick], None] | None) -> None:
        readings = self._prometheus.read(second, kinds)
        if FaultKind.RESTART in kinds:
            self._down = True
        else:
            if self._down:
                self._down = False
                self._decider.restart()
            self._decide(second, readings, watch)
        self._note(second)

    def _decide(self, second: int, readings: Readings | None, watch: Callable[[Tick], None] | None) -> None:
        tier_state = [fleet.tier_state() for fleet in self.cluster.fleets]
        orders = self._decider.decide(tier_state, readings, START + timedelta(seconds=second))
        self._orders = orders
        self.state = orders.state
        self.decisions.extend(orders.decisions)
        if watch is not None:
            watch(Tick(second, readings, orders))

    def _carry_out(self, orders: Orders, second: int) -> None:
        routers = self.cluster.routers
        for index, fleet in enumerate(self.cluster.fleets):
            fleet.want(orders.targets[fleet.name], second)
            routers.diverted[index] = 1 - orders.shares[fleet.name] / 100

    # Notes

    state = "Normal"

    def _counted(self) -> list[tuple[float, float, float]]:
        return [(count.offered, count.refused, count.lost) for count in self.cluster.routers.counts]

    def _note(self, second: int) -> None:
        counted = self._counted()
        seconds = TICK if self.moments else 1
        changes = [
            tuple((new - old) / seconds for new, old in zip(now, before, strict=True))
            for now, before in zip(counted, self._before, strict=True)
        ]
        self._before = counted
        fleets = self.cluster.fleets
        self.moments.append(
            Moment(
                second,
                tuple(change[0] for change in changes),
                tuple(change[1] for change in changes),
                tuple(change[2] for change in changes),
                tuple(fleet.queue for fleet in fleets),
                tuple(fleet.serving for fleet in fleets),
                tuple(fleet.present for fleet in fleets),
                tuple(fleet.target for fleet in fleets),
                self.state,
            )
        )
