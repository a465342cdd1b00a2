"""What the operator's metrics say of cost: GPUs that tiers hold, and counters of GPU-seconds and dollars.

A new leader counts from zero, from its first reconcile of a cluster on: Prometheus' `increase` and `rate` take that for
the restart of a counter. What passes between two leaders is not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from heterollm_controllers.cost.meter import Meter
from heterollm_controllers.cost.tier_cost import TierCost
from heterollm_operator.kube.store import Key

__all__ = ["CostMetrics"]

_PLACE = ["namespace", "cluster", "tier"]


class CostMetrics(Collector):
    """Metrics of the clusters that this replica has reconciled: only the leader has any."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._meters: dict[Key, dict[str, Meter]] = {}
        self._costs: dict[Key, Sequence[TierCost]] = {}

    def reconciled(self, key: Key, costs: Sequence[TierCost] | None) -> None:
        """Take note of what a cluster's tiers cost from now on; None: it could not be seen, so it stays as it was."""
        if costs is None:
            return
        now = self._monotonic()
        meters = self._meters.setdefault(key, {})
        for cost in costs:
            if cost.gpus is not None:
                meter = meters.get(cost.tier, Meter(now))
                meters[cost.tier] = meter.observe(now, cost.gpus, cost.dollars_per_hour)
        for tier in meters.keys() - {cost.tier for cost in costs}:
            # It has gone, and so have its engines: its counters stand still.
            nothing = None if meters[tier].dollars_per_hour is None else 0.0
            meters[tier] = meters[tier].observe(now, 0, nothing)
        self._costs[key] = costs

    def forget(self, key: Key) -> None:
        """The cluster has gone."""
        self._meters.pop(key, None)
        self._costs.pop(key, None)

    def collect(self) -> Iterator[Metric]:
        """The metrics as they are now."""
        yield from self._counters()
        yield from self._engines()
        yield self._services()

    def _counters(self) -> Iterator[Metric]:
        gpus = GaugeMetricFamily("heterollm_tier_gpus", "GPUs that the engines of a tier hold.", labels=_PLACE)
        seconds = CounterMetricFamily(
            "heterollm_tier_gpu_seconds", "GPUs held, times seconds, since this replica leads.", labels=_PLACE
        )
        dollars = CounterMetricFamily(
            "heterollm_tier_dollars",
            "Dollars for GPUs held, since this replica leads; absent where no price is known.",
            labels=_PLACE,
        )
        price = GaugeMetricFamily(
            "heterollm_tier_dollars_per_hour",
            "Dollars per hour for the GPUs held; absent where no price is known.",
            labels=_PLACE,
        )
        now = self._monotonic()
        for key, meters in self._meters.items():
            for tier, meter in meters.items():
                read, place = meter.read(now), [*key, tier]
                gpus.add_metric(place, read.gpus)
                seconds.add_metric(place, read.gpu_seconds)
                if read.dollars is not None and read.dollars_per_hour is not None:
                    dollars.add_metric(place, read.dollars)
                    price.add_metric(place, read.dollars_per_hour)
        yield from (gpus, price, seconds, dollars)

    def _engines(self) -> Iterator[Metric]:
        price = GaugeMetricFamily(
            "heterollm_tier_engine_dollars_per_hour",
            "Price of one engine of a tier; absent where it is not known.",
            labels=_PLACE,
        )
        rate = GaugeMetricFamily(
            "heterollm_tier_engine_requests_per_second",
            "Requests per second of one full engine of a tier, measured or estimated; absent where nobody knows.",
            labels=_PLACE,
        )
        last = GaugeMetricFamily("heterollm_tier_last", "1 for the last tier, 0 for others.", labels=_PLACE)
        for key, costs in self._costs.items():
            for cost in costs:
                place = [*key, cost.tier]
                last.add_metric(place, float(cost.last))
                if cost.engine_dollars_per_hour is not None:
                    price.add_metric(place, cost.engine_dollars_per_hour)
                if cost.engine_rate is not None:
                    rate.add_metric(place, cost.engine_rate)
        yield from (price, rate, last)

    def _services(self) -> Metric:
        price = GaugeMetricFamily(
            "heterollm_tier_dollars_per_million_tokens",
            "What the service outside of the cluster bills for tokens of this kind; absent where nobody told.",
            labels=[*_PLACE, "kind"],
        )
        for key, costs in self._costs.items():
            for cost in costs:
                if cost.token_prices is not None:
                    for kind, dollars in zip(("prompt", "completion"), cost.token_prices, strict=True):
                        price.add_metric([*key, cost.tier, kind], dollars)
        return price
