"""What is known of a cluster's traffic: what Prometheus said, joined with the engines that exist.

Every signal is a value, stale or unknown. Unknown is not zero: whoever decides on a signal that has no value holds
what is in force.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from heterollm_controllers.api.signals import ClusterSignal, PodSignal, Signal, TierSignal
from heterollm_controllers.metrics.side_minutes import SideMinutes

__all__ = ["FRESH", "History", "Readings"]

FRESH = timedelta(seconds=30)
"""How old a tick may be whose metrics still count: a few ticks may fail."""


@dataclass(frozen=True)
class History:
    """Metrics of one tier, one per minute, oldest first. A minute without a figure is NaN.

    Attributes:
        rate: requests per second that the tier answered or refused.
        concurrency: requests in the tier's engines, running and waiting: the peak of each minute.
        kv_use: used share of the KV cache, the peak over the tier's engines and each minute.
    """

    rate: Sequence[float] = ()
    concurrency: Sequence[float] = ()
    kv_use: Sequence[float] = ()


@dataclass(frozen=True)
class Readings:
    """What one tick learned of one cluster. A figure that Prometheus did not give, or that is no number, is absent.

    Attributes:
        at: when the tick asked.
        scrape_seconds: how often the pods are scraped; a series older than four times this is stale.
        pods: metrics of engines by the name of their leader's pod, whether or not it still exists.
        tiers: metrics by the tier's name.
        cluster: metrics of the whole cluster.
        history: of the last hour, by the tier's name; asked for once a minute.
        sides: of a cluster that migrates: its requests by who was to answer them; asked for once a minute.
        unanswered: signals whose query failed: that one has no figure does not mean zero.
        failure: why queries failed, for people; empty if all were answered.
    """

    at: datetime
    scrape_seconds: float = 15.0
    pods: Mapping[str, Mapping[PodSignal, float]] = field(default_factory=dict)
    tiers: Mapping[str, Mapping[TierSignal, float]] = field(default_factory=dict)
    cluster: Mapping[ClusterSignal, float] = field(default_factory=dict)
    history: Mapping[str, History] = field(default_factory=dict)
    sides: SideMinutes = field(default_factory=SideMinutes)
    unanswered: frozenset[Signal] = frozenset()
    failure: str = ""

    @property
    def window(self) -> float:
        """Seconds over which rates are taken, and after which a series is stale."""
        return max(30.0, 4 * self.scrape_seconds)
