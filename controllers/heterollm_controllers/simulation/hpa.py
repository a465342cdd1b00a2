"""What a plain HorizontalPodAutoscaler would do, to compare with: one ratio per tier, no forecast, no fallback.

Every 15 s, engines = ceil(those that are ready x figure / target), unless the ratio is within a tenth of 1; going up
at most by the larger of four engines and as many as there are; going down to the highest wish of the last five
minutes. Engines that are not ready count as having nothing to do when the tier would grow, as in Kubernetes. Without
metrics it holds.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from heterollm_controllers.api.signals import PodSignal
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.api.v1alpha1.status import Decision
from heterollm_controllers.api.vocabulary import Reason
from heterollm_controllers.metrics.readings import Readings
from heterollm_controllers.observation.tier_state import TierState
from heterollm_controllers.simulation.policy_under_test import Orders

__all__ = ["HorizontalRule", "Metric"]

Metric = Literal["concurrency", "queue"]
"""By running and waiting requests per engine as a share of what it runs at once, or by waiting ones alone."""

_SYNC = timedelta(seconds=15)
_TOLERANCE = 0.1
_STABILISATION = timedelta(minutes=5)
_STEP = 4


@dataclass
class _Scaled:
    target: int
    wishes: deque[tuple[datetime, int]] = field(default_factory=deque)


class HorizontalRule:
    """The rule for all tiers of a cluster."""

    def __init__(
        self, spec: HeteroLLMClusterSpec, metric: Metric = "concurrency", use: float = 0.7, queue: float = 10.0
    ) -> None:
        """`use`: wanted share of the concurrency, 0 to 1; `queue`: wanted number of waiting requests per engine."""
        self._metric, self._use, self._queue = metric, use, queue
        self._bounds = {tier.name: tier.replicas.bounds for tier in spec.engine_tiers}
        self._tiers = {name: _Scaled(few) for name, (few, _) in self._bounds.items()}
        self._synced: datetime | None = None

    def restart(self) -> None:
        """A new controller manager knows no earlier wishes."""
        for scaled in self._tiers.values():
            scaled.wishes.clear()

    def decide(self, tiers: Sequence[TierState], readings: Readings | None, now: datetime) -> Orders:
        """Orders of this tick: new ones every 15 s."""
        decisions: list[Decision] = []
        if self._synced is None or now - self._synced >= _SYNC:
            self._synced = now
            found = [self._scale(tier_state, readings, now) for tier_state in tiers]
            decisions = [decision for decision in found if decision is not None]
        targets = {name: scaled.target for name, scaled in self._tiers.items()}
        return Orders(targets, dict.fromkeys(targets, 100), decisions=tuple(decisions))

    def _scale(self, tier_state: TierState, readings: Readings | None, now: datetime) -> Decision | None:
        scaled = self._tiers[tier_state.name]
        ratio = self._ratio(tier_state, readings)
        if ratio is None:
            return None
        low, high = self._bounds[tier_state.name]
        wish = self._wish(tier_state, ratio, scaled.target)
        scaled.wishes.append((now, wish))
        while scaled.wishes[0][0] < now - _STABILISATION:
            scaled.wishes.popleft()
        fastest = max(2 * scaled.target, scaled.target + _STEP)
        if wish < scaled.target:
            wish = min(scaled.target, max(past for _, past in scaled.wishes))
        wish = min(max(low, min(wish, fastest)), high)
        if wish == scaled.target:
            return None
        action = Reason.SCALED_UP if wish > scaled.target else Reason.SCALED_DOWN
        message = f"{scaled.target} to {wish} engines: {100 * ratio:.0f} % of the wanted {self._metric}"
        scaled.target = wish
        return Decision(time=now, action=action, subject=tier_state.name, message=message)

    def _wish(self, tier_state: TierState, ratio: float, target: int) -> int:
        if abs(ratio - 1) <= _TOLERANCE:
            return target
        ready = len(tier_state.serving)
        coming = sum(not engine.serving for engine in tier_state.engines)
        if ratio > 1 and coming:
            spread = ratio * ready / (ready + coming)
            return math.ceil(spread * (ready + coming)) if spread > 1 + _TOLERANCE else target
        return math.ceil(ratio * ready)

    def _ratio(self, tier_state: TierState, readings: Readings | None) -> float | None:
        """The figure as a share of what is wanted, on average over the engines that have one."""
        if readings is None or readings.failure or not tier_state.concurrency:
            return None
        known = [readings.pods[engine.pod] for engine in tier_state.serving if engine.pod in readings.pods]
        if not known:
            return None
        waiting = sum(pod.get(PodSignal.QUEUE, 0.0) for pod in known) / len(known)
        running = sum(pod.get(PodSignal.RUNNING, 0.0) for pod in known) / len(known)
        if self._metric == "queue":
            return waiting / self._queue
        return (waiting + running) / (self._use * tier_state.concurrency)
