"""What the operator's metrics say of decisions and migrations, from a status as it is written."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from prometheus_client import CollectorRegistry

from heterollm_controllers.api.decimals import DecimalNumber
from heterollm_controllers.api.v1alpha1.migration_status import GateStatus, MigrationStatus
from heterollm_controllers.api.v1alpha1.status import Decision, HeteroLLMClusterStatus
from heterollm_controllers.api.vocabulary import GateState, MigrationState
from heterollm_operator.kube.store import Key
from heterollm_operator.process.cluster_metrics import ClusterMetrics

C = Key("ns", "c")
NOON = datetime(2026, 3, 4, 12, 0, 7, tzinfo=UTC)

ERRORS = GateStatus(
    name="Errors",
    state="Undecided",
    evidence=DecimalNumber("3.25"),
    against=DecimalNumber("0.0004"),
    requests_needed=2711,
    expected_at=NOON,
    message="of 1,200 none failed",
)
COST = GateStatus(name="Cost", state="Passed", message="44 % are saved")


def status(state: MigrationState = "Advancing", percent: int = 30, *gates: GateStatus) -> dict[str, Any]:
    migration = MigrationStatus(
        mode="Auto",
        state=state,
        percent=percent,
        since=NOON,
        reason="MigrationAdvances",
        message="so",
        updated=NOON,
        counted=NOON,
        gates=gates,
    )
    return HeteroLLMClusterStatus(migration=migration).to_wire()


def decided(*decisions: tuple[str, str, int]) -> dict[str, Any]:
    """By action, subject and minute."""
    made = [
        Decision(time=NOON.replace(minute=minute), action=action, subject=subject, message="so")
        for action, subject, minute in decisions
    ]
    return HeteroLLMClusterStatus(decisions=tuple(made)).to_wire()


@pytest.fixture
def metrics() -> ClusterMetrics:
    return ClusterMetrics(dict, lambda _: None)


def shown(metrics: ClusterMetrics, name: str, of: str) -> dict[str, float]:
    """The values of a metric by one of its labels."""
    registry = CollectorRegistry()
    registry.register(metrics)
    families = [family for family in registry.collect() if family.name == f"heterollm_{name}"]
    samples = [sample for family in families for sample in family.samples]
    assert all((sample.labels["namespace"], sample.labels["cluster"]) == C for sample in samples)
    return {sample.labels[of]: sample.value for sample in samples}


def test_the_share_and_the_state(metrics: ClusterMetrics) -> None:
    metrics.reconciled(C, status("Holding", 60))
    assert shown(metrics, "migration_percent", "cluster") == {"c": 60}
    assert shown(metrics, "migration_updated_timestamp_seconds", "cluster") == {"c": NOON.timestamp()}
    states = shown(metrics, "migration_state", "state")
    assert states == {state: float(state == "Holding") for state in get_args(MigrationState)}


def test_what_gates_say(metrics: ClusterMetrics) -> None:
    metrics.reconciled(C, status("Advancing", 10, ERRORS))
    assert shown(metrics, "migration_gate_evidence", "gate") == {"Errors": 3.25}
    assert shown(metrics, "migration_gate_against", "gate") == {"Errors": 0.0004}
    assert shown(metrics, "migration_gate_requests_needed", "gate") == {"Errors": 2711}
    states = shown(metrics, "migration_gate_state", "state")
    assert states == {state: float(state == "Undecided") for state in get_args(GateState)}


def test_a_gate_that_counts_no_requests_has_only_a_state(metrics: ClusterMetrics) -> None:
    metrics.reconciled(C, status("Advancing", 10, COST))
    assert shown(metrics, "migration_gate_state", "gate").keys() == {"Cost"}
    assert shown(metrics, "migration_gate_evidence", "gate") == {}
    assert shown(metrics, "migration_gate_requests_needed", "gate") == {}


def test_a_cluster_that_does_not_migrate_says_nothing(metrics: ClusterMetrics) -> None:
    metrics.reconciled(C, status())
    metrics.reconciled(C, HeteroLLMClusterStatus().to_wire())
    assert shown(metrics, "migration_percent", "cluster") == {}
    assert shown(metrics, "migration_state", "state") == {}
    metrics.reconciled(C, status())
    metrics.forget(C)
    assert shown(metrics, "migration_percent", "cluster") == {}


def test_the_latest_decision_of_each_kind(metrics: ClusterMetrics) -> None:
    metrics.reconciled(C, decided(("ScaledUp", "small", 1), ("ScaledUp", "large", 2), ("ScaledUp", "small", 5)))
    times = shown(metrics, "decision_timestamp_seconds", "subject")
    assert times == {"small": NOON.replace(minute=5).timestamp(), "large": NOON.replace(minute=2).timestamp()}
    metrics.reconciled(C, decided(("TierEscalated", "small", 9)))
    assert shown(metrics, "decision_timestamp_seconds", "action").keys() == {"TierEscalated"}
