"""Which clusters are reconciled for new metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import pytest

from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.api.v1alpha1.status import ScalingStatus
from heterollm_controllers.metrics.readings import Readings
from heterollm_controllers.observation.tier_state import TierState
from heterollm_controllers.reconcile import recheck
from heterollm_controllers.reconcile.control_loop import Steering
from heterollm_controllers.reconcile.control_state import ControlState
from heterollm_controllers.reconcile.recheck import Recheck
from heterollm_operator.kube.store import Key
from heterollm_operator.process.rechecks import Rechecks
from tests.shell.objects import spec
from tests.shell.virtual import START, VirtualClock

C = Key("ns", "c")
GIVEN = Recheck(spec("small"), (), ControlState(), missing="something")
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
def rechecks(core: Core, monkeypatch: pytest.MonkeyPatch) -> Rechecks:
    monkeypatch.setattr(recheck, "steer", core.steer)
    rechecks = Rechecks(VirtualClock())
    rechecks.reconciled(C, GIVEN)
    return rechecks


def test_the_same_decision_needs_no_reconcile(rechecks: Rechecks) -> None:
    assert not rechecks.due(C, Readings(START))


def test_another_one_does(core: Core, rechecks: Rechecks) -> None:
    core.after = replace(core.after, state=ControlState({"small": SCALED}))
    assert rechecks.due(C, Readings(START))
    rechecks.reconciled(C, replace(GIVEN, missing=""))
    core.after = Steering(GIVEN.state)
    assert not rechecks.due(C, Readings(START))


@pytest.mark.parametrize("missing", ["", "something else"])
def test_so_does_what_is_missing_now(core: Core, rechecks: Rechecks, missing: str) -> None:
    core.after = replace(core.after, missing=missing)
    assert rechecks.due(C, Readings(START))


def test_so_does_a_policy_that_a_router_does_not_take_and_that_it_takes_one_again(
    core: Core, rechecks: Rechecks
) -> None:
    core.after = replace(core.after, refused=17)
    assert rechecks.due(C, Readings(START))
    rechecks.reconciled(C, replace(GIVEN, refused=17))
    assert not rechecks.due(C, Readings(START))
    core.after = replace(core.after, refused=0)
    assert rechecks.due(C, Readings(START))


def test_nobody_rechecks_a_cluster_that_is_not_steered(core: Core, rechecks: Rechecks) -> None:
    core.after = replace(core.after, missing="")
    rechecks.reconciled(C, None)
    assert not rechecks.due(C, Readings(START))
    assert rechecks.known() == {}


def test_a_defect_is_told_once_and_ends_nothing(
    core: Core, rechecks: Rechecks, caplog: pytest.LogCaptureFixture
) -> None:
    core.defect = True
    assert not rechecks.due(C, Readings(START))
    assert not rechecks.due(C, Readings(START))
    assert len(caplog.records) == 1
    core.defect = False
    core.after = replace(core.after, missing="")
    assert rechecks.due(C, Readings(START))
