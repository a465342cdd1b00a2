"""A cluster that runs: its tiers' engines and its routers, second by second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.routing.translate import UNSIZED_ENGINE
from heterollm_controllers.simulation.engine_model import EngineModel, within
from heterollm_controllers.simulation.faults import Fault, FaultKind
from heterollm_controllers.simulation.fleet import Fleet
from heterollm_controllers.simulation.routers import Outcome, RouterModel

__all__ = ["Answers", "Cluster"]

_WAITING = 2
"""In flight may be twice what an engine runs at once, as in routed.py."""


@dataclass
class Answers:
    """What became of one tier's work since the start, in number of requests, beside what the routers count.

    Attributes:
        answered: by this tier.
        slow: those of `answered` whose first byte took longer than the fallback's slowMilliseconds.
        good: requests whose first token came within the objective.
        engine_seconds: in which its engines occupied GPUs.
    """

    answered: float = 0.0
    slow: float = 0.0
    good: float = 0.0
    engine_seconds: float = 0.0


class Cluster:
    """Tiers and routers. `undecided` counts requests for which no tier could be chosen."""

    def __init__(
        self,
        spec: HeteroLLMClusterSpec,
        models: Mapping[str, EngineModel],
        *,
        start: datetime,
        objective: float,
        engines: Mapping[str, int] | None = None,
    ) -> None:
        """All engines that `engines` names, or else the fewest of the spec, serve from the start.

        Args:
            models: of each tier's engines.
            objective: seconds within which first tokens should come.
        """
        self.spec = spec
        self.names = [tier.name for tier in spec.engine_tiers]
        self.fleets = [
            Fleet(
                tier.name,
                models[tier.name],
                start=start,
                drain_seconds=tier.engine.drain_seconds,
                node_seconds=tier.scaling.node_seconds,
                engines=(engines or {}).get(tier.name, tier.replicas.min),
                standby=tier.replicas.standby,
            )
            for tier in spec.engine_tiers
        ]
        retries = spec.routing.retries
        self.routers = RouterModel(len(self.fleets), retries.limit, retries.budget_percent / 100)
        self.answers = [Answers() for _ in self.fleets]
        self.undecided = 0.0
        self._objective = objective
        self._slow_after = spec.fallback.slow_milliseconds / 1000
        self._most = [
            _WAITING
            * (fleet.model.concurrency if fleet.model.told else UNSIZED_ENGINE)
            * max(1, tier.replicas.bounds.most)
            for fleet, tier in zip(self.fleets, spec.engine_tiers, strict=True)
        ]

    @property
    def in_flight(self) -> float:
        """Requests in all engines, and those that have lost theirs and wait to be sent again."""
        return sum(fleet.in_flight + fleet.lost for fleet in self.fleets)

    @property
    def calm(self) -> bool:
        """Whether little happens, so that several seconds may be reckoned as one step."""
        return self.routers.calm and all(fleet.calm for fleet in self.fleets)

    def step(self, second: float, wanted: Sequence[float], faults: Sequence[Fault], seconds: float = 1.0) -> None:
        """Let some seconds pass: one, unless all is calm and no fault holds.

        Args:
            second: at the beginning.
            wanted: requests that arrive, in number by the tier they are meant for.
            faults: that hold.
        """
        slower = self._suffer(faults, second)
        self._admit(slower, seconds)
        lost = [fleet.take_lost() for fleet in self.fleets]
        unscored = 0.0
        if any(fault.kind is FaultKind.SCORER for fault in faults):
            wanted, unscored = self._unscored(wanted)
        outcome = self.routers.route(wanted)
        if unscored > 0:
            self.undecided += unscored
            self.routers.undecided(unscored, outcome)
        for tier, number in enumerate(lost):
            if number > 0:
                self.routers.resend(tier, number, outcome)
        self.routers.eject(outcome.attempts)
        self._work(outcome, slower, second, seconds)

    def _suffer(self, faults: Sequence[Fault], second: float) -> list[float]:
        """What faults do to engines; the factor on each tier's times."""
        slower = [1.0] * len(self.fleets)
        failing = [0.0] * len(self.fleets)
        for fault in faults:
            if fault.tier not in self.names:
                continue
            tier = self.names.index(fault.tier)
            if fault.kind is FaultKind.SLOW:
                slower[tier] = max(slower[tier], fault.amount)
            elif fault.kind is FaultKind.FAIL:
                failing[tier] = max(failing[tier], fault.amount / 100)
            elif fault.kind is FaultKind.KILL:
                self.fleets[tier].kill(round(fault.amount), second)
        for state, share in zip(self.routers.states, failing, strict=True):
            state.failing = share
        return slower

    def _admit(self, slower: Sequence[float], seconds: float) -> None:
        """How much each tier may take in this step: what it may hold, and what it will have finished."""
        for state, fleet, most, factor in zip(self.routers.states, self.fleets, self._most, slower, strict=True):
            state.engines = fleet.serving
            held = fleet.in_flight
            most_done = fleet.model.rate / factor * state.engines * seconds
            state.room = max(0.0, most - held + (min(held, most_done) if seconds <= 1 else most_done))

    def _unscored(self, wanted: Sequence[float]) -> tuple[list[float], float]:
        """Without the scorer: requests by tier, only of what is diverted whatever it scores, and the rest."""
        known = [number * share for number, share in zip(wanted, self.routers.diverted, strict=True)]
        return known, sum(wanted) - sum(known)

    def _work(self, outcome: Outcome, slower: Sequence[float], second: float, seconds: float) -> None:
        for fleet, answers, arrivals, factor in zip(self.fleets, self.answers, outcome.arrivals, slower, strict=True):
            finished = fleet.step(arrivals, factor, second, seconds)
            answers.answered += finished
            answers.engine_seconds += fleet.present * seconds
            if arrivals > 0:
                self._judge(fleet, answers, arrivals, finished, factor)

    def _judge(self, fleet: Fleet, answers: Answers, arrivals: float, finished: float, slower: float) -> None:
        """How soon this second's requests get their first token."""
        model = fleet.model
        for group in fleet.groups:
            share = len(group.pods) / fleet.serving
            delay = model.first_token_delay(group.in_flight, group.finished, slower)
            median = model.first_token * slower
            answers.good += arrivals * share * within(self._objective, delay, median, model.scatter)
            if delay + 4 * median > self._slow_after:
                answers.slow += finished * share * (1 - within(self._slow_after, delay, median, model.scatter))
