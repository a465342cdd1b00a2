"""An operator that is restarted knows what it recorded, and decides as if nothing had happened."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pytest

from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.metrics.readings import Readings
from heterollm_controllers.observation.tier_state import TierState
from heterollm_controllers.reconcile.control_loop import Steering, steer
from heterollm_controllers.reconcile.control_state import ControlState
from heterollm_controllers.simulation.faults import Fault, FaultKind
from heterollm_controllers.simulation.policy_under_test import Operator, restored
from heterollm_controllers.simulation.traffic import Load, Spike
from tests.simulation.scenes import Still, simulated, spec

SPIKE = Spike(Load(30, 0.1), factor=3, start=600, seconds=900)
BROKEN = Fault(FaultKind.FAIL, 2400.0, 300.0, "small", 100.0)


def forgetful(
    wanted: HeteroLLMClusterSpec,
    tier_state: Sequence[TierState],
    memory: ControlState,
    readings: Readings | None,
    now: datetime,
) -> Steering:
    """Steering in a process that has just started, every time."""
    return steer(wanted, tier_state, restored(memory), readings, now)


def test_a_restart_at_every_tick_changes_no_decision() -> None:
    runs = [
        simulated(Operator(spec(), steering), traffic=SPIKE, faults=(BROKEN,), minutes=90)
        for steering in (steer, forgetful)
    ]
    assert runs[0].decisions == runs[1].decisions
    assert runs[0].moments == runs[1].moments
    actions = {decision.action for decision in runs[0].decisions}
    assert {"ScaledUp", "ScaledDown", "TierEscalated", "TierRecovered"} <= actions, "too little happened"


@pytest.mark.parametrize("at", [605, 640, 1500, 2460, 2700, 2800])
def test_a_leader_that_is_away_for_a_while_doubles_nothing(at: int) -> None:
    away = Fault(FaultKind.RESTART, float(at), 30.0)
    simulation = simulated(Operator(spec()), traffic=SPIKE, faults=(BROKEN, away), minutes=90)
    assert max(moment.target[0] for moment in simulation.moments) <= 8
    assert simulation.moments[-1].state == "Normal"
    raises = [decision for decision in simulation.decisions if decision.action == "ScaledUp"]
    assert len({(decision.time, decision.subject) for decision in raises}) == len(raises)


def test_nothing_is_decided_while_no_operator_runs() -> None:
    decider = Still({"small": 2, "large": 1})
    simulated(decider, faults=(Fault(FaultKind.RESTART, 100.0, 100.0),), minutes=5)
    assert decider.restarts == 1
    assert len(decider.tier_state) == 300 / 5 - 100 / 5
