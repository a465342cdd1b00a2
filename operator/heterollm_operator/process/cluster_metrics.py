"""What the operator's metrics say of each cluster: its fallback, engines, decisions, migration, and missing metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from heterollm_controllers.api.signals import ClusterSignal, PodSignal
from heterollm_controllers.api.timestamps import parse
from heterollm_controllers.api.vocabulary import FallbackState
from heterollm_controllers.metrics.readings import Readings
from heterollm_controllers.observation.tier_state import TierState
from heterollm_controllers.reconcile.recheck import Recheck
from heterollm_operator.kube.store import Key
from heterollm_operator.process.migration_metrics import migration_metrics

__all__ = ["ClusterMetrics"]

_STATES: tuple[FallbackState, ...] = get_args(FallbackState)
_OF_ENGINES = (
    PodSignal.QUEUE,
    PodSignal.RUNNING,
    PodSignal.KV_USE,
    PodSignal.AGE,
)
"""What every engine has at any time: there is no time to the first token without a request, no GPU use without DCGM."""


@dataclass(frozen=True)
class _Seen:
    state: str
    tiers: tuple[tuple[str, int, int], ...]
    """Name, wanted engines, serving engines."""
    decisions: Mapping[tuple[str, str], float]
    """When there was the latest of each action on each subject, in seconds since 1970."""
    migration: Mapping[str, Any] | None
    """As in the status; None where there is none."""


class ClusterMetrics(Collector):
    """Metrics of the clusters that this replica has reconciled: only the leader has any."""

    def __init__(self, known: Callable[[], Mapping[Key, Recheck]], readings: Callable[[Key], Readings | None]) -> None:
        """`known` and `readings`: the clusters that are steered, and what the last tick learned of one."""
        self._known = known
        self._readings = readings
        self._seen: dict[Key, _Seen] = {}

    def reconciled(self, key: Key, status: Mapping[str, Any]) -> None:
        """Take note of a cluster's status."""
        tiers = tuple((tier["name"], tier["desired"], tier["serving"]) for tier in status.get("tiers") or ())
        # Oldest first: the latest of a kind wins.
        decisions = {
            (item["action"], item["subject"]): parse(item["time"]).timestamp() for item in status.get("decisions") or ()
        }
        self._seen[key] = _Seen(status.get("mode", "Normal"), tiers, decisions, status.get("migration"))

    def forget(self, key: Key) -> None:
        """The cluster has gone."""
        self._seen.pop(key, None)

    def collect(self) -> Iterator[Metric]:
        """The metrics as they are now."""
        yield self._states()
        yield self._engines()
        yield self._missing()
        yield self._decisions()
        migrations = {key: seen.migration for key, seen in self._seen.items() if seen.migration is not None}
        yield from migration_metrics(migrations)

    def _states(self) -> Metric:
        family = GaugeMetricFamily(
            "heterollm_cluster_state",
            "1 for the state of the fallback that is in force, 0 for the others.",
            labels=["namespace", "cluster", "state"],
        )
        for key, seen in self._seen.items():
            for state in _STATES:
                family.add_metric([*key, state], float(seen.state == state))
        return family

    def _engines(self) -> Metric:
        family = GaugeMetricFamily(
            "heterollm_tier_engines",
            "Engines of a tier: those it should have, and those that serve.",
            labels=["namespace", "cluster", "tier", "kind"],
        )
        for key, seen in self._seen.items():
            for tier, target, serving in seen.tiers:
                family.add_metric([*key, tier, "target"], target)
                family.add_metric([*key, tier, "serving"], serving)
        return family

    def _decisions(self) -> Metric:
        family = GaugeMetricFamily(
            "heterollm_decision_timestamp_seconds",
            "When the operator last decided so, of the decisions that the status remembers.",
            labels=["namespace", "cluster", "action", "subject"],
        )
        for key, seen in self._seen.items():
            for what, time in seen.decisions.items():
                family.add_metric([*key, *what], time)
        return family

    def _missing(self) -> Metric:
        family = GaugeMetricFamily(
            "heterollm_signals_missing",
            "Serving engines without a figure, or 1 for a figure of the whole cluster; all: Prometheus gave nothing.",
            labels=["namespace", "cluster", "tier", "signal"],
        )
        for key, recheck in self._known().items():
            if (readings := self._readings(key)) is not None:
                for (tier, signal), count in _missing_of(readings, recheck.tiers).items():
                    family.add_metric([*key, tier, signal], count)
        return family


def _missing_of(readings: Readings, tiers: tuple[TierState, ...]) -> dict[tuple[str, str], int]:
    """By tier and signal."""
    if readings.failure and not (readings.pods or readings.tiers or readings.cluster):
        return {("", "all"): 1}
    found = {}
    for name in readings.unanswered:
        if not isinstance(name, PodSignal):
            found["", name.value] = 1
    if ClusterSignal.ROUTERS not in readings.cluster:
        found["", ClusterSignal.ROUTERS.value] = 1
    for tier in tiers:
        given = [readings.pods.get(engine.pod, {}) for engine in tier.serving]
        for signal in _OF_ENGINES:
            if lacking := sum(signal not in metrics for metrics in given):
                found[tier.name, signal.value] = lacking
    return found
