"""A query that fails holds the decisions that read its signal, and no others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from heterollm_controllers.api.signals import ClusterSignal, PodSignal, Signal, TierSignal
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.api.v1alpha1.status import FallbackStatus
from heterollm_controllers.api.vocabulary import Reason
from heterollm_controllers.metrics.readings import History, Readings
from heterollm_controllers.observation.tier_state import EngineState, TierState
from heterollm_controllers.reconcile.control_loop import Steering, steer
from heterollm_controllers.reconcile.control_state import ControlState

NOW = datetime(2026, 1, 1, tzinfo=UTC)
READ_BY_FALLBACK = (TierSignal.TRIED, TierSignal.FAILED, ClusterSignal.ROUTERS)
FINE = {TierSignal.OFFERED: 10.0, TierSignal.TRIED: 10.0, TierSignal.FAILED: 0.0, TierSignal.ANSWERED: 10.0}
SIGNALS: list[Signal] = [*PodSignal, *TierSignal, *ClusterSignal]
SPEC = HeteroLLMClusterSpec.model_validate(
    {
        "tiers": [
            {
                "name": name,
                "model": {"id": "Qwen/Qwen3-4B"},
                "accelerator": {"type": "L40S"},
                "replicas": {"min": 1, "max": 9},
            }
            for name in ("small", "large")
        ]
    }
)
TIERS = [
    TierState(name, (EngineState(f"c-{name}-0", f"c-{name}-0-0", serving=True),), concurrency=10, rate=rate)
    for name, rate in (("small", 10.0), ("large", 40.0))  # which has room for the other's requests
]


def readings(small: Mapping[TierSignal, float], queue: float = 0.0) -> Readings:
    pod = {PodSignal.QUEUE: queue, PodSignal.RUNNING: 1.0, PodSignal.KV_USE: 0.1, PodSignal.AGE: 1.0}
    return Readings(
        NOW,
        pods={f"c-{name}-0-0": pod for name in ("small", "large")},
        tiers={"small": {**FINE, **small}, "large": FINE},
        cluster={ClusterSignal.ROUTERS: 1.0, ClusterSignal.POLICY_REFUSED: 0.0},
        history={"small": History((5.0,) * 60, (5.0,) * 60, (0.1,) * 60)},
    )


def without(found: Readings, signal: Signal) -> Readings:
    """As when the query for a signal fails."""

    def left(metrics: Mapping[Signal, float]) -> dict[Signal, float]:
        return {name: value for name, value in metrics.items() if name != signal}

    return replace(
        found,
        pods={pod: left(metrics) for pod, metrics in found.pods.items()},  # type: ignore[arg-type, misc]
        tiers={tier: left(metrics) for tier, metrics in found.tiers.items()},  # type: ignore[arg-type, misc]
        cluster=left(found.cluster),  # type: ignore[arg-type]
        unanswered=frozenset({signal}),
        failure=f"Prometheus: no answer in time ({signal})",
    )


def steered(found: Readings, memory: ControlState | None = None) -> Steering:
    return steer(SPEC, TIERS, memory or ControlState(), found, NOW)


def actions(found: Readings) -> list[str]:
    return [item.action for item in steered(found).decisions]


FAILING = readings({TierSignal.FAILED: 9.0})


@pytest.mark.parametrize("signal", [item for item in SIGNALS if item not in READ_BY_FALLBACK])
def test_a_failing_tier_is_escalated_whatever_else_is_unknown(signal: Signal) -> None:
    assert Reason.TIER_ESCALATED in actions(FAILING)
    assert Reason.TIER_ESCALATED in actions(without(FAILING, signal))


@pytest.mark.parametrize("signal", READ_BY_FALLBACK)
def test_without_what_it_reads_the_fallback_holds(signal: Signal) -> None:
    assert actions(without(FAILING, signal)) == []


@pytest.mark.parametrize("signal", [item for item in SIGNALS if item not in (PodSignal.QUEUE, PodSignal.AGE)])
def test_a_long_queue_adds_engines_whatever_else_is_unknown(signal: Signal) -> None:
    busy = readings({}, queue=500.0)
    assert Reason.SCALED_UP in actions(busy)
    assert Reason.SCALED_UP in actions(without(busy, signal))


SLOW = readings({TierSignal.SLOW: 9.0})


@pytest.mark.parametrize(
    "signal", [TierSignal.SLOW, TierSignal.ANSWERED, PodSignal.QUEUE, PodSignal.RUNNING, PodSignal.AGE]
)
def test_slowness_needs_all_that_tells_a_sick_tier_from_a_busy_one(signal: Signal) -> None:
    assert Reason.TIER_ESCALATED in actions(SLOW)
    assert Reason.TIER_ESCALATED not in actions(without(SLOW, signal))


def test_a_rest_does_not_end_while_nobody_knows_how_slow_the_tier_is() -> None:
    opened = steered(SLOW).state
    after = replace(without(readings({}), TierSignal.SLOW), at=NOW)
    assert steered(after, opened).state.fallback == opened.fallback


@pytest.mark.parametrize("signal", [ClusterSignal.POLICY_REFUSED, ClusterSignal.UNDECIDED])
def test_level_3_does_not_end_while_its_cause_is_unknown(signal: Signal) -> None:
    refused = replace(readings({}), cluster={ClusterSignal.ROUTERS: 1.0, ClusterSignal.POLICY_REFUSED: 7.0})
    opened = steered(refused).state
    assert isinstance(opened.fallback, FallbackStatus)
    assert opened.fallback.state == "PureLarge"
    assert steered(readings({}), opened).state.fallback != opened.fallback, "it would begin to end"
    assert steered(without(readings({}), signal), opened).state.fallback == opened.fallback


@pytest.mark.parametrize("signal", SIGNALS)
def test_the_condition_says_which_figure_it_is(signal: Signal) -> None:
    assert steered(readings({})).missing == ""
    assert str(signal) in steered(without(readings({}), signal)).missing
