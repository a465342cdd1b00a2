"""The rule that stands for a HorizontalPodAutoscaler does what one does."""

from __future__ import annotations

from datetime import timedelta

import pytest

from heterollm_controllers.api.signals import PodSignal
from heterollm_controllers.metrics.readings import Readings
from heterollm_controllers.observation.tier_state import EngineState, TierState
from heterollm_controllers.simulation.hpa import HorizontalRule
from heterollm_controllers.simulation.run import START
from tests.simulation.scenes import simulated, spec


class Watched:
    """The rule with a small tier whose engines all have the same metrics."""

    def __init__(self, metric: str = "concurrency") -> None:
        self.rule = HorizontalRule(spec(small=(2, 20)), "queue" if metric == "queue" else "concurrency")
        self.now = START

    def target(self, serving: int, busy: float, waiting: float = 0.0, coming: int = 0, seconds: int = 15) -> int:
        """What it wants after so many seconds more."""
        self.now += timedelta(seconds=seconds)
        engines = [EngineState(f"small-{i}", f"small-{i}-0", i < serving) for i in range(serving + coming)]
        metrics = {PodSignal.RUNNING: busy, PodSignal.QUEUE: waiting}
        readings = Readings(self.now, pods={engine.pod: metrics for engine in engines[:serving]})
        tier_state = TierState("small", tuple(engines), concurrency=100)
        return self.rule.decide([tier_state], readings, self.now).targets["small"]


def test_it_wants_as_many_engines_as_bring_the_figure_to_its_target() -> None:
    assert Watched().target(4, 100) == 6
    assert Watched("queue").target(4, 100, waiting=15) == 6


def test_a_tenth_more_or_less_is_nothing() -> None:
    rule = Watched()
    assert rule.target(2, 76) == 2
    assert rule.target(2, 78) == 3


def test_it_grows_by_four_or_to_twice_as_many_at_most_and_never_beyond_the_bounds() -> None:
    rule = Watched()
    assert [rule.target(n, 1000) for n in (2, 6, 12, 20)] == [6, 12, 20, 20]


def test_engines_on_their_way_count_as_idle() -> None:
    rule = Watched()
    assert rule.target(2, 100) == 3
    assert rule.target(2, 100, coming=1) == 3


def test_it_shrinks_only_to_the_highest_wish_of_five_minutes() -> None:
    rule = Watched()
    assert rule.target(2, 210) == 6
    assert [rule.target(6, 10) for _ in range(19)] == [6] * 19
    assert rule.target(6, 10, seconds=30) == 2


def test_it_looks_every_fifteen_seconds() -> None:
    rule = Watched()
    rule.target(2, 70)
    assert rule.target(2, 1000, seconds=5) == 2
    assert rule.target(2, 1000, seconds=10) == 6


@pytest.mark.parametrize("readings", [None, Readings(START), Readings(START, failure="down")])
def test_without_figures_it_holds(readings: Readings | None) -> None:
    rule = HorizontalRule(spec())
    tier_state = TierState("small", (EngineState("a", "a-0", True),), concurrency=10)
    assert rule.decide([tier_state], readings, START).targets == {"small": 2, "large": 1}


def test_it_steers_a_whole_cluster_within_its_bounds() -> None:
    simulation = simulated(HorizontalRule(spec()), rate=80, minutes=30)
    targets = [moment.target[0] for moment in simulation.moments]
    assert max(targets) > 2
    assert all(2 <= target <= 8 for target in targets)
