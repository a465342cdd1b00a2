"""Engines that find no node, or never become ready, simulated: they are given up once the need for them has gone."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.simulation.faults import Fault, FaultKind
from heterollm_controllers.simulation.policy_under_test import Operator
from heterollm_controllers.simulation.run import Moment, Scenario, Simulation
from heterollm_controllers.simulation.summary import summarised
from heterollm_controllers.simulation.traffic import Load, Recorded, Spike
from tests.simulation.scenes import LARGE, SMALL, simulated, spec, unaccounted

SPIKE = Spike(Load(25.0, 0.1), factor=5.0, start=1200.0, seconds=1500.0)
"""From minute 20 to minute 45."""


def without_nodes(tier: str, start: int, end: int) -> Fault:
    """No new nodes between two minutes."""
    return Fault(FaultKind.NO_NODES, 60.0 * start, 60.0 * (end - start), tier)


def at(simulation: Simulation, minute: float) -> Moment:
    return simulation.moments[round(minute * 60 / 5)]


def flips(simulation: Simulation) -> int:
    return summarised(simulation).wrong.flips


def test_engines_without_nodes_are_withdrawn_soon_after_a_spike() -> None:
    of = spec(small=(2, 10), large=(1, 2))
    faults = (without_nodes("small", 15, 600),)
    simulation = simulated(Operator(of), of=of, traffic=SPIKE, minutes=300, faults=faults)
    assert at(simulation, 44).target[0] > 5, "there was a need that could not be met"
    assert at(simulation, 65).target[0] == 2
    assert all(moment.target[0] == 2 for moment in simulation.moments if moment.second > 65 * 60)
    assert flips(simulation) == 0
    assert unaccounted(simulation) == pytest.approx(0.0, abs=1e-3)


def test_when_there_are_nodes_again_the_next_spike_is_met_as_ever() -> None:
    of = spec(small=(2, 10), large=(1, 2))
    loads = [(0, 25.0), (20, 120.0), (45, 25.0), (120, 120.0), (150, 25.0)]
    traffic = Recorded([(60.0 * minute, Load(rate, 0.1)) for minute, rate in loads])
    simulation = simulated(Operator(of), of=of, traffic=traffic, minutes=240, faults=(without_nodes("small", 15, 100),))
    assert at(simulation, 110).target[0] == 2
    assert at(simulation, 122).target[0] > 4
    assert at(simulation, 125).serving[0] > 4
    assert flips(simulation) == 0


def test_nodes_that_come_while_the_need_lasts_are_used() -> None:
    of = spec(small=(2, 10), large=(1, 2))
    simulation = simulated(Operator(of), of=of, traffic=SPIKE, minutes=60, faults=(without_nodes("small", 15, 30),))
    assert at(simulation, 29).serving[0] == 2
    assert at(simulation, 32).serving[0] > 5


def test_a_large_engine_without_a_node_is_withdrawn_half_an_hour_after_its_raise() -> None:
    of = spec(small=(4, 8), large=(1, 2))
    traffic = Spike(Load(20.0, 0.5), factor=3.0, start=1200.0, seconds=600.0)
    simulation = simulated(Operator(of), of=of, traffic=traffic, minutes=240, faults=(without_nodes("large", 10, 300),))
    assert at(simulation, 29).target[1] == 2
    assert at(simulation, 75).target[1] == 1
    assert all(moment.target[1] == 1 for moment in simulation.moments if moment.second > 75 * 60)


def test_a_tier_that_was_woken_and_found_no_node_sleeps_again() -> None:
    of = spec(small=(2, 4), large=(0, 2))
    traffic = Recorded([(0.0, Load(5.0, 0.0)), (1200.0, Load(5.0, 0.1)), (1260.0, Load(5.0, 0.0))])
    simulation = simulated(Operator(of), of=of, traffic=traffic, minutes=240, faults=(without_nodes("large", 10, 300),))
    targets = [moment.target[1] for moment in simulation.moments]
    assert [change for change in pairwise(targets) if change[0] != change[1]] == [(0, 1), (1, 0)]
    assert at(simulation, 60).target[1] == 0
    assert {moment.state for moment in simulation.moments} == {"Normal"}


def test_engines_that_never_become_ready_keep_no_tier_large() -> None:
    """A crash loop, or an image that cannot be pulled: they have nodes and GPUs, and never serve."""
    of = spec(small=(2, 10), large=(1, 2))
    simulation = _run(of, cold_start=1e9)
    assert at(simulation, 44).target[0] > 5
    assert at(simulation, 65).target[0] == 2
    assert at(simulation, 65).present[0] == 2
    # What 25 minutes and five more cost, beside the two engines that serve all the time.
    assert simulation.cluster.answers[0].engine_seconds / 3600 < 2 * 5 + 8 * 0.75


def _run(of: HeteroLLMClusterSpec, cold_start: float) -> Simulation:
    models = {"small": replace(SMALL, cold_start=cold_start), "large": LARGE}
    simulation = Simulation(Scenario(of, models, SPIKE, 5 * 3600), Operator(of))
    simulation.run()
    return simulation
