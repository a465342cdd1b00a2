"""What the operator's metrics say of clusters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from heterollm_controllers.api.signals import ClusterSignal, PodSignal, TierSignal
from heterollm_controllers.metrics.readings import Readings
from heterollm_controllers.observation.tier_state import EngineState, TierState
from heterollm_controllers.reconcile.control_state import ControlState
from heterollm_controllers.reconcile.recheck import Recheck
from heterollm_operator.kube.store import Key
from heterollm_operator.process.cluster_metrics import ClusterMetrics
from tests.shell.objects import spec
from tests.shell.virtual import START

C = Key("ns", "c")
WHERE = {"namespace": "ns", "cluster": "c"}
WHOLE = {PodSignal.QUEUE: 0.0, PodSignal.RUNNING: 0.0, PodSignal.KV_USE: 0.0, PodSignal.AGE: 1.0}


class Shown:
    """A registry with the clusters' metrics."""

    def __init__(self) -> None:
        self.known: dict[Key, Recheck] = {}
        self.readings: dict[Key, Readings] = {}
        self.metrics = ClusterMetrics(lambda: self.known, self.readings.get)
        self.registry = CollectorRegistry()
        self.registry.register(self.metrics)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"heterollm_{name}", {**WHERE, **labels})

    def missing(self) -> dict[tuple[str, str], float]:
        """By tier and signal."""
        (family,) = [family for family in self.registry.collect() if family.name == "heterollm_signals_missing"]
        return {(sample.labels["tier"], sample.labels["signal"]): sample.value for sample in family.samples}


@pytest.fixture
def shown() -> Shown:
    return Shown()


def status(mode: str, **fallback: Any) -> dict[str, Any]:
    return {"mode": mode, "fallback": fallback, "tiers": [{"name": "small", "desired": 4, "serving": 3}]}


def test_state_and_engines(shown: Shown) -> None:
    shown.metrics.reconciled(C, status("PureLarge", state="PureLarge"))
    states = {state: shown.value("cluster_state", state=state) for state in ("Normal", "Escalated", "PureLarge")}
    assert states == {"Normal": 0, "Escalated": 0, "PureLarge": 1}
    assert shown.value("tier_engines", tier="small", kind="target") == 4
    assert shown.value("tier_engines", tier="small", kind="serving") == 3
    shown.metrics.reconciled(C, status("Normal", state="Normal"))
    assert shown.value("cluster_state", state="PureLarge") == 0
    shown.metrics.forget(C)
    assert shown.value("cluster_state", state="Normal") is None
    assert shown.value("tier_engines", tier="small", kind="target") is None


def test_a_dry_run_is_in_no_state(shown: Shown) -> None:
    shown.metrics.reconciled(C, status("Normal", state="PureLarge", dryRun=True))
    assert shown.value("cluster_state", state="Normal") == 1


def test_a_cluster_without_a_status_is_normal(shown: Shown) -> None:
    shown.metrics.reconciled(C, {})
    assert shown.value("cluster_state", state="Normal") == 1


def test_what_is_missing(shown: Shown) -> None:
    engines = [EngineState(name, f"{name}-0", serving=name != "starting") for name in ("a", "b", "starting")]
    shown.known[C] = Recheck(spec("small"), (TierState("small", tuple(engines)),), ControlState())
    assert shown.missing() == {}, "before the first tick nobody knows"
    shown.readings[C] = Readings(START, pods={"a-0": WHOLE, "b-0": {PodSignal.QUEUE: 1.0}})
    expected = {("", "routers"): 1, ("small", "running"): 1, ("small", "kvUse"): 1, ("small", "age"): 1}
    assert shown.missing() == expected
    seen = Readings(START, pods={"a-0": WHOLE, "b-0": WHOLE}, cluster={ClusterSignal.ROUTERS: 2})
    shown.readings[C] = seen
    assert shown.missing() == {}
    shown.readings[C] = replace(seen, unanswered=frozenset({TierSignal.TRIED, PodSignal.QUEUE}))
    assert shown.missing() == {("", "tried"): 1}, "engines are counted by what they lack"


def test_without_prometheus_one_line_says_all(shown: Shown) -> None:
    shown.known[C] = Recheck(spec("small"), (TierState("small", ()),), ControlState())
    shown.readings[C] = Readings(START, failure="Prometheus: no answer in time")
    assert shown.missing() == {("", "all"): 1}
