"""A Prometheus that fails in whatever way for ten minutes: nothing is scaled or switched, and nothing jumps after."""

from __future__ import annotations

import pytest

from heterollm_controllers.simulation.faults import Fault, FaultKind
from heterollm_controllers.simulation.policy_under_test import Operator
from heterollm_controllers.simulation.run import TICK, Moment
from heterollm_controllers.simulation.traffic import Load, Recorded
from tests.simulation.scenes import simulated, spec

BLIND = sorted(kind for kind in FaultKind if kind.startswith("prometheus-"))
BEGINS, ENDS = 1800, 2400
KNOWN_FOR = 75
"""Seconds for which the last metrics still count: the window, and a tick or two."""


def during(moments: list[Moment], start: int, end: int) -> list[Moment]:
    return [moment for moment in moments if start <= moment.second < end]


@pytest.mark.parametrize("kind", BLIND)
@pytest.mark.parametrize("broken", [False, True], ids=["the tiers are well", "the small tier fails too"])
def test_nothing_is_decided_while_nothing_is_known(kind: FaultKind, broken: bool) -> None:
    """Meanwhile traffic triples, or half of it goes, or all requests fail: it would be no reason to hold still."""
    failing = (Fault(FaultKind.FAIL, BEGINS + KNOWN_FOR, 400.0, "small", 100.0),) if broken else ()
    for there in (0.2, 3.0):
        course = Recorded([(0.0, Load(45, 0.1)), (BEGINS + KNOWN_FOR, Load(45 * there, 0.1)), (ENDS, Load(45, 0.1))])
        blind = Fault(kind, float(BEGINS), float(ENDS - BEGINS))
        wanted = spec(small=(2, 12))
        simulation = simulated(Operator(wanted), of=wanted, traffic=course, faults=(blind, *failing), minutes=50)
        still = during(simulation.moments, BEGINS + KNOWN_FOR, ENDS)
        assert len({(moment.target, moment.state) for moment in still}) == 1
        assert still[0].target[0] > 2, "the test says nothing: there was nothing to lower"


@pytest.mark.parametrize("kind", BLIND)
def test_figures_that_come_back_make_no_jump(kind: FaultKind) -> None:
    wanted = spec(small=(2, 12))
    blind = Fault(kind, float(BEGINS), float(ENDS - BEGINS))
    simulation = simulated(Operator(wanted), of=wanted, rate=90, faults=(blind,), minutes=60)
    before = during(simulation.moments, BEGINS - TICK, BEGINS)[0]
    after = during(simulation.moments, ENDS, 3600)
    assert {moment.state for moment in after} == {"Normal"}
    assert all(abs(moment.target[0] - before.target[0]) <= 1 for moment in after)
    assert {moment.target[1] for moment in after} == {before.target[1]}


def test_the_same_load_without_a_fault_is_decided_upon() -> None:
    """Else the tests above could not fail."""
    wanted = spec(small=(2, 12))
    course = Recorded([(0.0, Load(45, 0.1)), (BEGINS + KNOWN_FOR, Load(135, 0.1))])
    simulation = simulated(Operator(wanted), of=wanted, traffic=course, minutes=40)
    seen = during(simulation.moments, BEGINS + KNOWN_FOR, ENDS)
    assert len({moment.target for moment in seen}) > 1
