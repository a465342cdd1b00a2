"""Tiers that may have no engines, simulated: they wake for requests, sleep when those end, and stay asleep."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest

from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.simulation.policy_under_test import Operator
from heterollm_controllers.simulation.run import Simulation
from heterollm_controllers.simulation.traffic import Load, Recorded
from tests.simulation.scenes import simulated, spec, unaccounted


def replayed(
    of: HeteroLLMClusterSpec, loads: Sequence[tuple[float, float]], share: float, minutes: float
) -> Simulation:
    """Traffic by the minute from which it holds."""
    traffic = Recorded([(60 * minute, Load(rate, share)) for minute, rate in loads])
    return simulated(Operator(of), of=of, traffic=traffic, minutes=minutes)


def raises(simulation: Simulation, tier: int, after: float = 0.0) -> int:
    """Raises of a tier's target after a minute."""
    pairs = pairwise(moment for moment in simulation.moments if moment.second >= 60 * after)
    return sum(now.target[tier] > before.target[tier] for before, now in pairs)


@pytest.mark.parametrize(
    ("rate", "share"),
    [(12.0, 0.3), (60.0, 0.1), (6.0, 0.0), (3.0, 0.02), (0.5, 0.5)],
    ids=["usual", "many engines", "all small", "seldom large", "sparse"],
)
def test_traffic_that_has_ended_wakes_nothing(rate: float, share: float) -> None:
    of = spec(small=(0, 8), large=(0, 2))
    simulation = replayed(of, [(0, rate), (50, 0.0)], share, 300)
    assert [raises(simulation, tier, after=52) for tier in (0, 1)] == [0, 0]
    assert simulation.moments[-1].present == (0, 0)
    assert {moment.state for moment in simulation.moments} == {"Normal"}, "a tier that sleeps does not fail"
    assert unaccounted(simulation) == pytest.approx(0.0, abs=1e-3)
    large = simulation.cluster.answers[1].engine_seconds / 3600
    assert large <= 50 / 60 + 0.5 + 0.1, "engine-hours: while there was traffic, half an hour after it, and a start"


def test_every_spell_of_traffic_wakes_each_tier_once_and_at_once() -> None:
    of = spec(small=(0, 4), large=(0, 2))
    simulation = replayed(of, [(0, 0.0), (20, 5.0), (40, 0.0), (160, 5.0), (180, 0.0)], 0.2, 300)
    assert [raises(simulation, tier) for tier in (0, 1)] == [2, 2]
    for start in (20, 160):
        woken = next(moment.second for moment in simulation.moments if moment.second > 60 * start and moment.target[0])
        assert woken - 60 * start <= 35, "two scrapes and a tick"
    assert {moment.state for moment in simulation.moments} == {"Normal"}


def test_a_tier_that_wakes_is_not_escalated_for_what_came_while_it_slept() -> None:
    """The large tier answers until the small one serves; that is no failure of the small one's engine."""
    of = spec(small=(0, 4), large=(1, 2))
    simulation = replayed(of, [(0, 0.0), (30, 8.0)], 0.1, 60)
    assert {moment.state for moment in simulation.moments} == {"Normal"}
    assert simulation.cluster.routers.counts[0].lost == 0
    assert simulation.moments[-1].serving[0] >= 1
