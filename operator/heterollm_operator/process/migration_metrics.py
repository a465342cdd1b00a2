"""What the operator's metrics say of migrations: the share in force, and what the gates say, as in the status."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from heterollm_controllers.api.timestamps import parse
from heterollm_controllers.api.vocabulary import GateState, MigrationState
from heterollm_operator.kube.store import Key

__all__ = ["migration_metrics"]

_STATES: tuple[MigrationState, ...] = get_args(MigrationState)
_GATE_STATES: tuple[GateState, ...] = get_args(GateState)
_PLACE = ["namespace", "cluster"]
_FIGURES = {
    "heterollm_migration_gate_evidence": (
        "evidence",
        "How many to one the requests speak for a limit being kept; at 20 its gate passes.",
    ),
    "heterollm_migration_gate_against": (
        "against",
        "How many to one the requests speak against a limit being kept; at 20 its gate may fail.",
    ),
    "heterollm_migration_gate_requests_needed": (
        "requestsNeeded",
        "Further requests until a gate passes, if they go on like this.",
    ),
}
"""Names of what gates count, their fields in the status, and what they are."""


def migration_metrics(migrations: Mapping[Key, Mapping[str, Any]]) -> Iterator[Metric]:
    """Metrics of these clusters, by their `status.migration`."""
    yield _percent(migrations)
    yield _states(migrations)
    yield _updated(migrations)
    yield _gate_states(migrations)
    for name, (field, meaning) in _FIGURES.items():
        yield _gate_figure(migrations, name, field, meaning)


def _percent(migrations: Mapping[Key, Mapping[str, Any]]) -> Metric:
    family = GaugeMetricFamily(
        "heterollm_migration_percent",
        "Share of their requests that the tiers other than the last are to get, in per cent.",
        labels=_PLACE,
    )
    for key, record in migrations.items():
        family.add_metric([*key], record["percent"])
    return family


def _states(migrations: Mapping[Key, Mapping[str, Any]]) -> Metric:
    family = GaugeMetricFamily(
        "heterollm_migration_state",
        "1 for the state that a migration is in, 0 for the others.",
        labels=[*_PLACE, "state"],
    )
    for key, record in migrations.items():
        for state in _STATES:
            family.add_metric([*key, state], float(record["state"] == state))
    return family


def _updated(migrations: Mapping[Key, Mapping[str, Any]]) -> Metric:
    family = GaugeMetricFamily(
        "heterollm_migration_updated_timestamp_seconds",
        "When what the gates say was written.",
        labels=_PLACE,
    )
    for key, record in migrations.items():
        family.add_metric([*key], parse(record["updated"]).timestamp())
    return family


def _gate_states(migrations: Mapping[Key, Mapping[str, Any]]) -> Metric:
    family = GaugeMetricFamily(
        "heterollm_migration_gate_state",
        "1 for the state that a gate is in, 0 for the others.",
        labels=[*_PLACE, "gate", "state"],
    )
    for key, record in migrations.items():
        for gate in record.get("gates") or ():
            for state in _GATE_STATES:
                family.add_metric([*key, gate["name"], state], float(gate["state"] == state))
    return family


def _gate_figure(migrations: Mapping[Key, Mapping[str, Any]], name: str, field: str, meaning: str) -> Metric:
    family = GaugeMetricFamily(name, meaning, labels=[*_PLACE, "gate"])
    for key, record in migrations.items():
        for gate in record.get("gates") or ():
            if (figure := gate.get(field)) is not None:
                family.add_metric([*key, gate["name"]], float(figure))
    return family
