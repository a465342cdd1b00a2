"""What goes wrong with engines and routers, and what the operator makes of it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from heterollm_controllers.simulation.faults import Fault, FaultKind, Faults
from heterollm_controllers.simulation.policy_under_test import Operator
from heterollm_controllers.simulation.run import Simulation
from tests.simulation.scenes import Still, simulated, spec

AT = 900.0


def broken(kind: FaultKind, tier: str = "", amount: float = 0.0, seconds: float = 240.0, **more: object) -> Simulation:
    """Within an hour in which three failures end in level 3."""
    fault = Fault(kind, AT, seconds, tier, amount)
    wanted: dict[str, Any] = {"rate": 15.0, "minutes": 60, **more}
    of = spec(fallback={"reopeningsSeconds": 3600})
    return simulated(Operator(of), of=of, faults=(fault,), **wanted)


def changed(simulation: Simulation, state: str) -> float:
    """Second at which the state was first so."""
    return next(moment.second for moment in simulation.moments if moment.state == state)


def states(simulation: Simulation) -> list[str]:
    course = [moment.state for moment in simulation.moments]
    return [course[0], *(after for before, after in pairwise(course) if after != before)]


def test_a_tier_that_fails_rests_and_comes_back_and_no_request_fails() -> None:
    simulation = broken(FaultKind.FAIL, "small", 100.0)
    assert states(simulation) == ["Normal", "Escalated", "Normal"]
    assert changed(simulation, "Escalated") - AT <= 60
    assert sum(count.lost for count in simulation.cluster.routers.counts) == 0


def test_a_tier_that_goes_on_failing_ends_in_pure_large_and_still_comes_back() -> None:
    simulation = broken(FaultKind.FAIL, "small", 100.0, seconds=5400.0, minutes=300.0)
    assert states(simulation) == ["Normal", "Escalated", "PureLarge", "Normal"]


@pytest.mark.parametrize("kind", [FaultKind.SCORER, FaultKind.POLICY])
def test_what_breaks_routing_itself_ends_in_pure_large_and_comes_back(kind: FaultKind) -> None:
    simulation = broken(kind)
    assert states(simulation) == ["Normal", "PureLarge", "Normal"]
    assert sum(count.lost for count in simulation.cluster.routers.counts) == 0
    assert changed(simulation, "PureLarge") - AT <= 60


def test_engines_that_die_lose_no_request_and_start_again() -> None:
    simulation = broken(FaultKind.KILL, "small", 1.0)
    assert sum(count.lost for count in simulation.cluster.routers.counts) == 0
    assert min(moment.serving[0] for moment in simulation.moments) == 1
    assert simulation.moments[-1].serving[0] == 2


def test_a_tier_whose_engines_all_die_is_answered_for() -> None:
    simulation = broken(FaultKind.KILL, "small", 100.0)
    assert "Escalated" in states(simulation)
    assert simulation.moments[-1].state == "Normal"
    assert simulation.cluster.routers.counts[0].spilled > 0


def test_without_nodes_the_tier_says_that_it_cannot_grow() -> None:
    simulation = broken(FaultKind.NO_NODES, "small", seconds=1800.0, rate=60.0)
    said = [(decision.action, decision.subject) for decision in simulation.decisions]
    assert max(moment.serving[0] for moment in simulation.moments) >= 3
    assert ("ScaledUp", "small") in said


def test_a_slow_tier_has_more_in_flight() -> None:
    decider = Still({"small": 2, "large": 1})
    slow = Fault(FaultKind.SLOW, 300.0, 300.0, "small", 3.0)
    simulation = simulated(decider, rate=10, faults=(slow,), minutes=12)
    normal = simulated(Still({"small": 2, "large": 1}), rate=10, minutes=12)
    assert simulation.cluster.answers[0].good < normal.cluster.answers[0].good
    assert simulation.moments[-1].queue == normal.moments[-1].queue


def test_faults_hold_from_their_start_to_their_end() -> None:
    one, other = Fault(FaultKind.FAIL, 10.0, 5.0, "a"), Fault(FaultKind.SCORER, 12.0, 10.0)
    faults = Faults([one, other])
    assert [faults.holding(second) for second in (0, 9.9, 10, 12, 15, 21.9, 22)] == [
        (),
        (),
        (one,),
        (one, other),
        (other,),
        (other,),
        (),
    ]
