"""The same scene with the fallback in force and with its dry run: what levels 2 and 3 are good for."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any

from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.simulation.faults import Fault, FaultKind
from heterollm_controllers.simulation.policy_under_test import Operator
from heterollm_controllers.simulation.run import Scenario, Simulation
from heterollm_controllers.simulation.traffic import Load, Recorded
from tests.simulation.scenes import LARGE, SMALL

TIERS = ("small", "large")
AMOUNTS = {
    FaultKind.FAIL: (30.0, 60.0, 80.0, 100.0, 100.0),
    # The last one hangs: a request takes longer than the scene.
    FaultKind.SLOW: (2.0, 4.0, 8.0, 50.0, 1000.0),
    FaultKind.KILL: (1.0, 100.0),
}
KINDS = (FaultKind.FAIL, FaultKind.FAIL, FaultKind.SLOW, FaultKind.KILL)


@dataclass(frozen=True)
class Scene:
    """A cluster of two tiers, its traffic, and what goes wrong with either.

    Attributes:
        told: whether the operator knows how fast engines are.
        bounds: fewest and most engines of each tier.
        course: traffic from which second on.
    """

    told: bool
    bounds: tuple[tuple[int, int], tuple[int, int]]
    course: tuple[tuple[float, Load], ...]
    seconds: int
    faults: tuple[Fault, ...]

    def answered(self, *, dry_run: bool) -> float:
        """Share of all requests that were answered, in per cent."""
        return answered_percent(self.simulated(dry_run=dry_run))

    def simulated(self, *, dry_run: bool) -> Simulation:
        """The scene, played to its end."""
        of = self._spec(dry_run)
        models = {"small": replace(SMALL, told=self.told), "large": replace(LARGE, told=self.told)}
        simulation = Simulation(
            Scenario(of, models, Recorded(list(self.course)), self.seconds, self.faults), Operator(of)
        )
        simulation.run()
        return simulation

    def _spec(self, dry_run: bool) -> HeteroLLMClusterSpec:
        tiers: list[dict[str, Any]] = [
            {
                "name": name,
                "model": {"id": f"test/{name}"},
                "accelerator": {"type": "A100-80GB"},
                "replicas": {"min": few, "max": most},
            }
            for name, (few, most) in zip(TIERS, self.bounds, strict=True)
        ]
        return HeteroLLMClusterSpec.model_validate({"tiers": tiers, "fallback": {"dryRun": dry_run}})


def answered_percent(simulation: Simulation) -> float:
    """Share of all requests that were answered, in per cent."""
    offered = sum(count.offered for count in simulation.cluster.routers.counts)
    return 100 * sum(answers.answered for answers in simulation.cluster.answers) / max(offered, 1.0)


def scene(seed: int) -> Scene:
    """One to four faults of either tier that may overlap, at a tenth to more than all of what the small tier can do."""
    draw = random.Random(seed)
    small, large = draw.randint(1, 4), draw.randint(1, 2)
    bounds = (small, small + draw.choice((0, 0, 2, 4))), (large, large + draw.choice((0, 0, 1)))
    told = draw.random() < 0.75
    share = draw.choice((0.0, 0.02, 0.1, 0.3))
    rate = draw.uniform(0.1, 1.2) * SMALL.rate * bounds[0][1]
    seconds = draw.choice((3_600, 7_200))
    course = [(0.0, Load(rate, share))]
    if draw.random() < 0.3:
        at = draw.uniform(300, seconds - 600)
        course += [(at, Load(rate * draw.choice((0.3, 2.0, 3.0)), share))]
        course += [(at + draw.uniform(120, 900), Load(rate, share))]
    faults = tuple(_fault(draw, seconds) for _ in range(draw.randint(1, 4)))
    return Scene(told, bounds, tuple(course), seconds, faults)


def _fault(draw: random.Random, seconds: int) -> Fault:
    kind = draw.choice(KINDS)
    start, length = float(draw.randint(300, seconds - 300)), draw.choice((60.0, 120.0, 300.0, 900.0, 1_800.0))
    return Fault(kind, start, length, draw.choice(TIERS), draw.choice(AMOUNTS[kind]))
