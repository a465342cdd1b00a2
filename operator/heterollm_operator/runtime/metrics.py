"""The operator's own metrics. Live figures belong here, never in `status`."""

from __future__ import annotations

import math

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

__all__ = ["Metrics"]

_LOOKS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """One registry with everything in it, so that tests have their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.queue_depth = Gauge("heterollm_queue_depth", "Clusters waiting for a reconcile.", registry=self.registry)
        self.queue_latency = Histogram(
            "heterollm_queue_latency_seconds",
            "Seconds a cluster waited from being due to its reconcile.",
            buckets=_LOOKS,
            registry=self.registry,
        )
        self.reconcile_duration = Histogram(
            "heterollm_reconcile_duration_seconds",
            "Seconds one reconcile took, its API calls included.",
            buckets=_LOOKS,
            registry=self.registry,
        )
        self.reconciles = Counter("heterollm_reconciles", "Reconciles by result.", ["result"], registry=self.registry)
        self.api_writes = Counter(
            "heterollm_api_writes",
            "Write requests sent to the API server, by kind and verb; leases and dry runs have their own verbs.",
            ["kind", "verb"],
            registry=self.registry,
        )
        self.watch_age = Gauge(
            "heterollm_watch_age_seconds",
            "Seconds since a watch last gave a sign of life.",
            ["resource", "namespace"],
            registry=self.registry,
        )
        self.watch_refused = Gauge(
            "heterollm_watch_refused",
            "1 for a watch that the API server refuses: its objects count as unknown.",
            ["resource", "namespace"],
            registry=self.registry,
        )
        self.unreadable = Counter(
            "heterollm_unreadable_documents",
            "Listed or watched documents of which a part (too_deep) or everything (no_event) is not read.",
            ["resource", "reason"],
            registry=self.registry,
        )
        self.clusters = Gauge("heterollm_clusters", "HeteroLLMClusters the operator sees.", registry=self.registry)
        self.leader = Gauge(
            "heterollm_leader", "1 while this replica holds the lease.", ["identity"], registry=self.registry
        )
        self.poll_seconds = Histogram(
            "heterollm_poll_seconds",
            "Seconds a tick took: all queries, and the check of every cluster.",
            buckets=_LOOKS,
            registry=self.registry,
        )
        self.prometheus_age = Gauge(
            "heterollm_prometheus_age_seconds",
            "Seconds since Prometheus last answered all queries; NaN where it is not asked.",
            registry=self.registry,
        )
        self.prometheus_age.set(math.nan)
        self.poll_failures = Counter(
            "heterollm_poll_failures",
            "Ticks in which queries to Prometheus failed, by reason.",
            ["reason"],
            registry=self.registry,
        )
