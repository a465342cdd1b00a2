"""Small clusters to simulate, with engines of round metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.observation.tier_state import TierState
from heterollm_controllers.simulation.engine_model import EngineModel
from heterollm_controllers.simulation.faults import Fault
from heterollm_controllers.simulation.policy_under_test import Decider, Orders
from heterollm_controllers.simulation.run import Scenario, Simulation
from heterollm_controllers.simulation.traffic import Load, Steady, Traffic

SMALL = EngineModel(
    lone_seconds=1.0,
    rate=20.0,
    concurrency=40,
    first_token=0.025,
    scatter=0.25,
    gpus=2,
    dollars_per_hour=8.0,
    cold_start=60.0,
    source="measured",
)
LARGE = EngineModel(
    lone_seconds=3.0,
    rate=18.0,
    concurrency=128,
    first_token=0.095,
    scatter=0.2,
    gpus=32,
    dollars_per_hour=128.0,
    cold_start=300.0,
    source="measured",
)


def spec(small: tuple[int, int] = (2, 8), large: tuple[int, int] = (1, 2), **more: Any) -> HeteroLLMClusterSpec:
    """Two tiers with so many engines at least and at most."""
    tiers = [
        {"name": name, "model": {"id": f"test/{name}"}, "accelerator": {"type": "A100-80GB"}, "replicas": bounds}
        for name, bounds in (
            ("small", {"min": small[0], "max": small[1]}),
            ("large", {"min": large[0], "max": large[1]}),
        )
    ]
    return HeteroLLMClusterSpec.model_validate({"tiers": tiers, **more})


class Still:
    """Decides nothing: the engines there are, and all requests to their tiers, unless told otherwise."""

    def __init__(self, targets: dict[str, int], shares: dict[str, int] | None = None) -> None:
        self.targets, self.shares = targets, shares or dict.fromkeys(targets, 100)
        self.tier_state: list[list[TierState]] = []
        self.restarts = 0

    def decide(self, tiers: Sequence[TierState], *_: object) -> Orders:
        self.tier_state.append(list(tiers))
        return Orders(dict(self.targets), dict(self.shares))

    def restart(self) -> None:
        self.restarts += 1


def simulated(
    decider: Decider | None = None,
    *,
    of: HeteroLLMClusterSpec | None = None,
    rate: float = 20.0,
    large_share: float = 0.1,
    traffic: Traffic | None = None,
    minutes: float = 10,
    faults: tuple[Fault, ...] = (),
    **more: Any,
) -> Simulation:
    """A simulation that has run."""
    wanted = of or spec()
    scenario = Scenario(
        wanted,
        {"small": SMALL, "large": LARGE},
        traffic or Steady(Load(rate, large_share)),
        int(minutes * 60),
        faults,
        **more,
    )
    simulation = Simulation(scenario, decider or Still({tier.name: tier.replicas.min for tier in wanted.engine_tiers}))
    simulation.run()
    return simulation


def unaccounted(simulation: Simulation) -> float:
    """Requests that came and of which nobody knows what became, in number."""
    cluster = simulation.cluster
    counts = cluster.routers.counts
    done = sum(answers.answered for answers in cluster.answers) + sum(count.refused + count.lost for count in counts)
    return sum(count.offered for count in counts) + cluster.undecided - done - cluster.in_flight
