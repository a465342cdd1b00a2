"""A cluster whose metrics a test sets, and the ticks of its steering."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from heterollm_controllers.api.signals import ClusterSignal, PodSignal, TierSignal
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.api.v1alpha1.status import FallbackStatus, ScalingStatus
from heterollm_controllers.metrics.readings import History, Readings
from heterollm_controllers.observation.tier_state import EngineState, TierState
from heterollm_controllers.reconcile.control_loop import Steering, steer, traffic_in_force
from heterollm_controllers.reconcile.control_state import ControlState
from heterollm_controllers.simulation.policy_under_test import restored

START = datetime(2026, 1, 1, tzinfo=UTC)
LONG_AGO = START - timedelta(days=1)
TICK = 5


@dataclass
class TierWorld:
    """What is so of one tier now. Metrics are per engine, rates per tier."""

    name: str
    serving: int = 2
    starting: int = 0
    leaving: int = 0
    unschedulable_since: datetime | None = None
    created: datetime | None = None
    """When those that do not serve were made."""
    rolling: bool = False
    lost: bool = False
    serving_since: datetime = LONG_AGO
    queue: float = 0.0
    running: float = 1.0
    kv_use: float = 0.1
    first_token_ms: float = 50.0
    age: float = 3.0
    silent: int = 0
    offered: float = 5.0
    tried: float = 5.0
    failed: float = 0.0
    slow: float = 0.0
    answered: float | None = None
    """What it tried and did not fail, if None."""
    diverted: float = 0.0
    diverted_failed: float = 0.0
    concurrency: int | None = 64
    rate: float | None = 10.0
    history: History = field(default_factory=lambda: History((1.0,) * 60, (2.0,) * 60, (0.1,) * 60))

    def tier_state(self) -> TierState:
        """As the operator sees the engines."""
        able = [
            EngineState(f"{self.name}-{i}", f"{self.name}-{i}-0", True, serving_since=self.serving_since)
            for i in range(self.serving)
        ]
        coming = [
            EngineState(
                f"{self.name}-{i}", "", False, unschedulable_since=self.unschedulable_since, created=self.created
            )
            for i in range(self.serving, self.serving + self.starting)
        ]
        return TierState(
            self.name,
            (*able, *coming),
            leaving=self.leaving,
            rolling=self.rolling,
            lost=self.lost,
            concurrency=self.concurrency,
            rate=self.rate,
            start_seconds=55.0,
        )

    def pods(self) -> dict[str, dict[PodSignal, float]]:
        """What Prometheus has of each engine; of the first `silent` ones nothing."""
        found = {
            PodSignal.QUEUE: self.queue,
            PodSignal.RUNNING: self.running,
            PodSignal.KV_USE: self.kv_use,
            PodSignal.AGE: self.age,
            PodSignal.FIRST_TOKEN_SUM: self.first_token_ms / 1000,
            PodSignal.FIRST_TOKEN_COUNT: 1.0,
        }
        return {f"{self.name}-{i}-0": found for i in range(self.silent, self.serving)}

    def rates(self) -> dict[TierSignal, float]:
        """What the routers counted."""
        return {
            TierSignal.OFFERED: self.offered,
            TierSignal.TRIED: self.tried,
            TierSignal.FAILED: self.failed,
            TierSignal.ANSWERED: self.tried - self.failed if self.answered is None else self.answered,
            TierSignal.DIVERTED: self.diverted,
            TierSignal.DIVERTED_FAILED: self.diverted_failed,
            TierSignal.SLOW: self.slow,
        }


class World:
    """Two tiers, time, and memory that goes through its wire form with every tick, as through status."""

    def __init__(self, tiers: Mapping[str, Mapping[str, Any]] | None = None, **spec: Any) -> None:
        """`tiers` holds settings of the tiers by name, the rest settings of the cluster."""
        named = {"small": {}, "large": {}, **(tiers or {})}
        self.spec = HeteroLLMClusterSpec.model_validate(
            {"tiers": [_tier(name, settings) for name, settings in named.items()], **spec}
        )
        self.small, self.large = TierWorld("small"), TierWorld("large")
        self.cluster: dict[ClusterSignal, float] = {ClusterSignal.ROUTERS: 2.0}
        self.readings_away = False
        self.failure = ""
        self.now = START
        self.memory = ControlState()
        self.last: Steering = Steering(self.memory)
        self.said: list[str] = []

    def tick(self, count: int = 1) -> Steering:
        """Let so many ticks of five seconds pass."""
        for _ in range(count):
            tier_state = (self.small.tier_state(), self.large.tier_state())
            self.last = steer(self.spec, tier_state, self.memory, self.readings(), self.now)
            self.said += [f"{item.action} {item.subject}" for item in self.last.decisions]
            self.memory = restored(self.last.state)
            self.now += timedelta(seconds=TICK)
        return self.last

    def seconds(self, seconds: float) -> Steering:
        """Let so many seconds pass."""
        return self.tick(round(seconds / TICK))

    def readings(self) -> Readings | None:
        """What the last tick of the poller gave."""
        if self.readings_away:
            return None
        tiers = (self.small, self.large)
        return Readings(
            self.now,
            scrape_seconds=5.0,
            pods={} if self.failure else {name: found for tier in tiers for name, found in tier.pods().items()},
            tiers={} if self.failure else {tier.name: tier.rates() for tier in tiers},
            cluster={} if self.failure else self.cluster,
            history={} if self.failure else {tier.name: tier.history for tier in tiers},
            failure=self.failure,
        )

    def target(self, tier: str = "small") -> int:
        """Engines that the tier should have."""
        return self.memory.target(next(item for item in self.spec.engine_tiers if item.name == tier))

    def scaling(self, tier: str = "small") -> ScalingStatus:
        """The tier's last decision."""
        return self.memory.scaling[tier]

    @property
    def shares(self) -> dict[str, int]:
        """Per cent of its requests that each tier gets."""
        return dict(traffic_in_force(self.spec, self.memory).shares)

    @property
    def fallback(self) -> FallbackStatus:
        """Which fallback is in force."""
        assert self.memory.fallback is not None
        return self.memory.fallback

    @property
    def state(self) -> str:
        """Its name."""
        return self.memory.fallback.state if self.memory.fallback is not None else "Normal"


def _tier(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "model": {"id": "Qwen/Qwen3-4B"},
        "accelerator": {"type": "A100-80GB", "perNode": 8},
        "replicas": {"min": 2, "max": 8},
        **settings,
    }
