"""Arbitrary clusters, traffic and faults, and a steering that is watched while it decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hypothesis import strategies as st

from heterollm_controllers.api.signals import TierSignal
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.api.v1alpha1.status import EscalationStatus, FallbackStatus, ScalingStatus
from heterollm_controllers.metrics.readings import Readings
from heterollm_controllers.observation.tier_state import TierState
from heterollm_controllers.reconcile.control_loop import Steering, steer
from heterollm_controllers.reconcile.control_state import ControlState
from heterollm_controllers.simulation.faults import Fault, FaultKind
from heterollm_controllers.simulation.policy_under_test import Operator, restored
from heterollm_controllers.simulation.run import START, Scenario, Simulation
from heterollm_controllers.simulation.traffic import Load, Recorded
from heterollm_controllers.traffic.circuit_breaker import DOUBTED_PERCENT
from tests.simulation.scenes import LARGE, SMALL

TROUBLE = 1_500
"""Seconds in which anything may happen."""
CALM = 2_700
"""Seconds after it in which nothing does: more than the longest way back to normal."""
BLIND = {kind for kind in FaultKind if kind.startswith("prometheus-")}
BLIND_AFTER = timedelta(seconds=100)
"""When nothing is known any more at the latest: a window of 60 s, 30 s of patience, a tick or two."""
STABILIZATION_SECONDS = {"small": 300, "large": 1800}
"""Seconds after a raise, or of fewer engines being enough, before one leaves, if the spec says nothing else."""


TELLING = {"ScalingLimited", "ScalingFree"}
"""Decisions that add and remove nothing: a tier cannot grow as it should, for example as engines find no node."""


@st.composite
def tiers(draw: st.DrawFn, name: str) -> dict[str, object]:
    fewest = draw(st.integers(0, 3))
    most = draw(st.integers(max(1, fewest), fewest + 5))
    scaling = {
        "queueLength": draw(st.sampled_from([10, 100, 300])),
        "queueStep": draw(st.integers(1, 4)),
        "queuePerEngine": draw(st.sampled_from([8, 32])),
        "kvUsePercent": draw(st.sampled_from([50, 80, 100])),
        "headroomPercent": draw(st.sampled_from([0, 20, 100])),
        "forecast": draw(st.booleans()),
        "scaleDownSeconds": draw(st.sampled_from([None, 60, 300, 600])),
        "timeToFirstTokenMs": draw(st.sampled_from([None, 100, 1000])),
        "nodeSeconds": draw(st.sampled_from([0, 0, 60])),
        "unschedulableSeconds": draw(st.sampled_from([30, 300])),
    }
    return {
        "name": name,
        "model": {"id": f"test/{name}"},
        "accelerator": {"type": "A100-80GB"},
        "replicas": {"min": fewest, "max": most, "standby": draw(st.sampled_from([0, 0, 1]))},
        "scaling": scaling,
    }


@st.composite
def specs(draw: st.DrawFn) -> HeteroLLMClusterSpec:
    names = draw(st.sampled_from([("small", "large"), ("small", "large"), ("small", "middle", "large"), ("large",)]))
    fallback = {
        "minRequests": draw(st.sampled_from([5, 20])),
        "failedPercent": draw(st.sampled_from([20, 50, 90])),
        "holdSeconds": draw(st.sampled_from([30, 120])),
        "longestHoldSeconds": draw(st.sampled_from([120, 300])),
        "probeRequests": draw(st.sampled_from([1, 10])),
        "rampPercent": draw(st.sampled_from([(10, 50, 100), (100,), (50, 100)])),
        "rampSeconds": draw(st.sampled_from([10, 30])),
        "reopenings": draw(st.integers(1, 3)),
        "reopeningsSeconds": draw(st.sampled_from([300, 900])),
        "cleanSeconds": draw(st.sampled_from([60, 300])),
        "recoveryPercent": draw(st.sampled_from([(10, 30, 60, 80, 100), (50, 100)])),
    }
    return HeteroLLMClusterSpec.model_validate({"tiers": [draw(tiers(name)) for name in names], "fallback": fallback})


def faults(names: Sequence[str]) -> st.SearchStrategy[list[Fault]]:
    one = st.builds(
        Fault,
        kind=st.sampled_from(sorted(FaultKind)).map(FaultKind),
        start=st.integers(60, TROUBLE - 400).map(float),
        seconds=st.sampled_from([5.0, 60.0, 200.0, 400.0]),
        tier=st.sampled_from(names),
        amount=st.sampled_from([1.0, 2.0, 30.0, 80.0, 100.0]),
    )
    return st.lists(one, max_size=4)


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """Trouble for a while, then calm: a load that the fewest engines can do, and no fault."""
    spec = draw(specs())
    models = {tier.name: LARGE if tier is spec.tiers[-1] else SMALL for tier in spec.tiers}
    # Of the fewest engines, or of one that wakes.
    capacity = SMALL.rate * max(1, spec.engine_tiers[0].replicas.min) if len(spec.engine_tiers) > 1 else LARGE.rate
    pieces = draw(st.lists(st.tuples(st.integers(0, TROUBLE), st.floats(0, 4), st.floats(0, 0.5)), max_size=5))
    course = [(float(second), Load(times * capacity, share)) for second, times, share in sorted(pieces)]
    calm = Load(draw(st.floats(0.0, 0.5)) * capacity, min(0.1, 0.4 * LARGE.rate / capacity))
    return Scenario(
        spec,
        models,
        Recorded([(0.0, calm), *course, (float(TROUBLE), calm)]),
        TROUBLE + CALM,
        tuple(draw(faults([tier.name for tier in spec.tiers]))),
        seed=draw(st.integers(0, 1_000)),
    )


@dataclass
class Watched:
    """Steering whose every decision is checked."""

    scenario: Scenario
    ticks: int = 0
    raised: dict[str, datetime] = field(default_factory=dict)
    operator: Operator = field(init=False)

    def __post_init__(self) -> None:
        self.operator = Operator(self.scenario.spec, self.steer)

    def steer(
        self,
        spec: HeteroLLMClusterSpec,
        tier_state: Sequence[TierState],
        memory: ControlState,
        readings: Readings | None,
        now: datetime,
    ) -> Steering:
        after = steer(spec, tier_state, memory, readings, now)
        self.ticks += 1
        if after.decisions or self.ticks % 10 == 0:
            self._restart_changes_nothing(after, spec, tier_state, memory, readings, now)
        self._scaling(spec, tier_state, memory, after.state, readings, now)
        self._fallback(spec, memory.fallback, after.state.fallback)
        if self._blind(now):
            assert _effects(after.state) == _effects(memory), f"decided at {now} without figures: {after.decisions}"
            assert _told(after) <= TELLING, f"decided at {now} without figures: {after.decisions}"
        return after

    def _restart_changes_nothing(
        self,
        after: Steering,
        spec: HeteroLLMClusterSpec,
        tier_state: Sequence[TierState],
        memory: ControlState,
        readings: Readings | None,
        now: datetime,
    ) -> None:
        """Before the record or after it, and however often."""
        assert steer(spec, tier_state, restored(memory), readings, now) == after
        again = steer(spec, tier_state, restored(after.state), readings, now)
        # It may find that it can do no more, and says so once.
        assert _told(again) <= TELLING, f"{again.decisions} after {after.decisions}"
        assert _effects(again.state) == _effects(after.state)

    def _scaling(
        self,
        spec: HeteroLLMClusterSpec,
        tier_state: Sequence[TierState],
        before: ControlState,
        after: ControlState,
        readings: Readings | None,
        now: datetime,
    ) -> None:
        calm = after.fallback is None or after.fallback.state == "Normal"
        for tier, seen in zip(spec.engine_tiers, tier_state, strict=True):
            few, most = tier.replicas.bounds
            old, new = (_target(memory.scaling.get(tier.name), few) for memory in (before, after))
            assert few <= new <= most
            if new > old:
                self.raised[tier.name] = now
            if new > old == 0:
                assert readings is not None, "woken without figures"
                assert readings.tiers[tier.name][TierSignal.OFFERED] > 0, "woken by nobody"
            if new < old:
                assert new == old - 1 or new >= len(seen.serving), "more than one engine that serves at a time"
                assert new > 0 or (readings and not readings.tiers[tier.name][TierSignal.OFFERED]), "it is asked for"
                assert calm, "shrinks while a fallback is in force"
                patience = (
                    tier.scaling.scale_down_seconds
                    or STABILIZATION_SECONDS["large" if tier is spec.tiers[-1] else "small"]
                )
                raised = self.raised.get(tier.name, START - timedelta(days=1))
                assert now - raised >= timedelta(seconds=patience), f"raised at {raised}, lowered at {now}"

    def _fallback(
        self, spec: HeteroLLMClusterSpec, before: FallbackStatus | None, after: FallbackStatus | None
    ) -> None:
        if after is None:
            assert before is None, "a record was lost"
            return
        assert 0 <= after.percent <= 100
        assert (after.state == "Escalated") == any(item.phase != "Watching" for item in after.escalations)
        if before is None:
            return
        old = {item.tier: item for item in before.escalations}
        for item in after.escalations:
            assert item.hold_seconds <= max(spec.fallback.longest_hold_seconds, spec.fallback.hold_seconds)
            if item.tier in old:
                _deadlines(old[item.tier], item)
        if before.state == after.state == "PureLarge" and before.clean_since and after.clean_since:
            assert before.clean_since <= after.clean_since

    def _blind(self, now: datetime) -> bool:
        """Whether nothing can be known: the Prometheus fails in one way all the time."""
        second = (now - START).total_seconds()
        return any(
            fault.kind in BLIND - {FaultKind.PROMETHEUS_SLOW}
            and fault.holds(second)
            and second - fault.start > BLIND_AFTER.total_seconds()
            for fault in self.scenario.faults
        )


def _deadlines(old: EscalationStatus, new: EscalationStatus) -> None:
    """A phase never ends earlier than was said, and no end is before its beginning."""
    if new.until is not None:
        assert new.until >= new.since
    if (old.phase, old.since) == (new.phase, new.since):
        assert old.until == new.until, "a deadline moved"
    elif new.phase == "Holding":
        assert new.hold_seconds >= old.hold_seconds or old.phase == "Watching"
    if new.phase == "Probing" and old.phase == "Holding" and old.until is not None:
        # Earlier only if its stand-in does not answer all, and when the metrics are from after it failed.
        settled = new.since - old.since >= timedelta(seconds=90)
        tried_early = new.percent >= DOUBTED_PERCENT and settled
        assert new.since >= old.until or tried_early, "rested for too short"


def _target(record: ScalingStatus | None, few: int) -> int:
    return record.target if record is not None else few


def _told(steering: Steering) -> set[str]:
    return {decision.action for decision in steering.decisions}


def _effects(memory: ControlState) -> tuple[object, ...]:
    """What has an effect on engines or requests."""
    fallback = memory.fallback
    targets = {name: record.target for name, record in memory.scaling.items()}
    return (
        targets,
        fallback and (fallback.state, fallback.percent, [(item.tier, item.percent) for item in fallback.escalations]),
    )


def watched(scenario: Scenario) -> Simulation:
    """The scenario, simulated with every decision checked."""
    simulation = Simulation(scenario, Watched(scenario).operator)
    simulation.run()
    return simulation
