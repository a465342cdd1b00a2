"""Which clusters are to be looked at for new metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import pytest

from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.api.v1alpha1.status import ScalingStatus
from heterollm_controllers.metrics.readings import Readings
from heterollm_controllers.observation.tier_state import TierState
from heterollm_controllers.reconcile.control_loop import Steering, SteeringInput
from heterollm_controllers.reconcile.control_state import ControlState
from heterollm_operator.kube.store import Key
from heterollm_operator.process.steered import Steered
from tests.shell.objects import spec
from tests.shell.virtual import START, VirtualClock

C = Key("ns", "c")
GIVEN = SteeringInput(spec("small"), (), ControlState(), missing="something")
SCALED = ScalingStatus(target=3, reason="QueueLong", message="", decided_at="2026-01-01T00:00:00Z")


class Core:
    """Decides what the test says."""

    def __init__(self) -> None:
        self.after = Steering(GIVEN.state, missing=GIVEN.missing)
        self.defect = False

    def steer(
        self,
        spec: HeteroLLMClusterSpec,
        tiers: Sequence[TierState],
        memory: ControlState,
        readings: Readings | None,
        now: datetime,
    ) -> Steering:
        assert (spec, tiers, memory, now) == (GIVEN.spec, GIVEN.tiers, GIVEN.state, START)
        assert readings == Readings(START)
        if self.defect:
            raise ZeroDivisionError
        return self.after


@pytest.fixture
def core() -> Core:
    return Core()


@pytest.fixture
def steered(core: Core) -> Steered:
    steered = Steered(core.steer, VirtualClock())
    steered.looked(C, GIVEN)
    return steered


def test_the_same_decision_needs_no_look(steered: Steered) -> None:
    assert not steered.due(C, Readings(START))


def test_another_one_does(core: Core, steered: Steered) -> None:
    core.after = replace(core.after, state=ControlState({"small": SCALED}))
    assert steered.due(C, Readings(START))
    steered.looked(C, replace(GIVEN, missing=""))
    core.after = Steering(GIVEN.state)
    assert not steered.due(C, Readings(START))


@pytest.mark.parametrize("missing", ["", "something else"])
def test_so_does_what_is_missing_now(core: Core, steered: Steered, missing: str) -> None:
    core.after = replace(core.after, missing=missing)
    assert steered.due(C, Readings(START))


def test_so_does_a_policy_that_a_router_does_not_take_and_that_it_takes_one_again(core: Core, steered: Steered) -> None:
    core.after = replace(core.after, refused=17)
    assert steered.due(C, Readings(START))
    steered.looked(C, replace(GIVEN, refused=17))
    assert not steered.due(C, Readings(START))
    core.after = replace(core.after, refused=0)
    assert steered.due(C, Readings(START))


def test_nobody_looks_at_a_cluster_that_is_not_steered(core: Core, steered: Steered) -> None:
    core.after = replace(core.after, missing="")
    steered.looked(C, None)
    assert not steered.due(C, Readings(START))
    assert steered.known() == {}


def test_a_defect_is_told_once_and_ends_nothing(core: Core, steered: Steered, caplog: pytest.LogCaptureFixture) -> None:
    core.defect = True
    assert not steered.due(C, Readings(START))
    assert not steered.due(C, Readings(START))
    assert len(caplog.records) == 1
    core.defect = False
    core.after = replace(core.after, missing="")
    assert steered.due(C, Readings(START))
