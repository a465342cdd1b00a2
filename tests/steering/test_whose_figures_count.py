"""Metrics count for the engines that exist and serve, whatever other pods say."""

from __future__ import annotations

from datetime import UTC, datetime

from heterollm_controllers.api.signals import PodSignal
from heterollm_controllers.metrics.readings import Readings
from heterollm_controllers.metrics.tier_metrics import tier_metrics
from heterollm_controllers.observation.tier_state import EngineState, TierState

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def pod(queue: float) -> dict[PodSignal, float]:
    return {PodSignal.QUEUE: queue, PodSignal.RUNNING: 1.0, PodSignal.KV_USE: queue / 100, PodSignal.AGE: 1.0}


def test_only_pods_of_engines_that_serve_count() -> None:
    engines = (
        EngineState("c-small-0", "c-small-0-0", serving=True),
        EngineState("c-small-1", "c-small-1-0", serving=False),
        EngineState("c-small-2", "c-small-2-0", serving=True, standby=True),
        EngineState("c-small-3", "", serving=True),
    )
    said = {"c-small-0-0": 2.0, "c-small-1-0": 30.0, "c-small-2-0": 30.0, "c-large-0-0": 30.0, "mallorys-0": 30.0}
    readings = Readings(NOW, pods={name: pod(queue) for name, queue in said.items()})
    found = tier_metrics(TierState("small", engines), readings, NOW)
    assert (found.known, found.unknown) == (1, ("c-small-3",))
    assert (found.queue, found.kv_use, found.load) == (2.0, 0.02, {"c-small-0": 3.0})
