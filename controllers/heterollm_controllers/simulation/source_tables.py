"""The benchmarks of the source analysis, emulated from its own metrics per request, with the mix of traffic stated.

The source gives no method. What its metrics follow from, as far as they follow from anything:
- One request takes R9's median: 95 ms on the large tier, 25 ms on the small one. Its latency table says 120 ms for a
  complex request where all are large, 110 ms where they are not.
- A batch of 32 is 32 workflows of one plan and four acts, one after the other: 32 x 5 x 95 ms = 15.2 s exactly.
- A workflow's 580 and 280 ms need about 15 ms more per step, which is what R8 allows at most for routing (2 ms),
  aggregation (3 ms) and cache (10 ms).
- Capacities are a tier's engines at R9's rate, whichever tier is full first. The mixes of the source's two clusters
  differ: never quote both as one.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.observation.tier_state import TierState
from heterollm_controllers.simulation.engine_model import LARGE, SMALL, EngineModel, Reference
from heterollm_controllers.simulation.policy_under_test import Orders
from heterollm_controllers.simulation.run import Scenario, Simulation
from heterollm_controllers.simulation.traffic import Load, Steady

__all__ = ["Row", "capacity", "source_rows"]

STEP_MS = 15.0
"""R8's most for routing, aggregation and cache together."""
PLAN_MS, PLAN_MIXED_MS = 120.0, 110.0
"""A complex request where all go to the large tier, and where only such do."""
ACTS, BATCH = 4, 32
_RUNS = 2_001
_RATE_SECONDS = 1_800
_SMALLEST_STEP = 0.004


@dataclass(frozen=True)
class Row:
    """One figure: as the source has it, by arithmetic from the inputs, and emulated."""

    what: str
    mix: str
    unit: str
    source: float
    reckoned: float
    emulated: float
    inputs: str


def source_rows(seed: int = 1) -> list[Row]:
    """All metrics of R23; `seed` is of the emulated scatter."""
    return [*_workflows(random.Random(seed)), *_batches(random.Random(seed)), *_capacities(seed)]


def _workflows(source: random.Random) -> list[Row]:
    inputs = f"plan {PLAN_MS:g} or {PLAN_MIXED_MS:g} ms, act 95 or 25 ms (R9), {STEP_MS:g} ms per step (R8)"
    large = [(PLAN_MS, LARGE), *[(95.0, LARGE)] * ACTS]
    mixed = [(PLAN_MIXED_MS, LARGE), *[(25.0, SMALL)] * ACTS]
    mix = "1 plan + 4 acts"
    return [
        _workflow(source, "workflow, all large", f"{mix}, f = 100 %", 580, large, inputs),
        _workflow(source, "workflow, two tiers", f"{mix}, f = 20 %", 280, mixed, inputs),
    ]


def _workflow(
    source: random.Random, what: str, mix: str, said: float, steps: Sequence[tuple[float, Reference]], inputs: str
) -> Row:
    reckoned = sum(milliseconds + STEP_MS for milliseconds, _ in steps)
    runs = [sum(_drawn(source, *step) + STEP_MS for step in steps) for _ in range(_RUNS)]
    return Row(what, mix, "ms", said, reckoned, median(runs), inputs)


def _batches(source: random.Random) -> list[Row]:
    large = [(95.0, LARGE)] * (1 + ACTS)
    mixed = [(PLAN_MIXED_MS, LARGE), *[(25.0, SMALL)] * ACTS]
    mix = f"{BATCH} x (1 plan + 4 acts), one after the other"
    return [
        _batch(source, "batch, all large", f"{mix}, f = 100 %", 15.2, large, "95 ms each (R9)"),
        _batch(
            source, "batch, two tiers", f"{mix}, f = 20 %", 6.8, mixed, f"plan {PLAN_MIXED_MS:g} ms, act 25 ms (R9)"
        ),
    ]


def _batch(
    source: random.Random, what: str, mix: str, said: float, steps: Sequence[tuple[float, Reference]], inputs: str
) -> Row:
    reckoned = BATCH * sum(milliseconds for milliseconds, _ in steps) / 1000
    runs = [sum(_drawn(source, *step) for _ in range(BATCH) for step in steps) / 1000 for _ in range(_RUNS // 20)]
    return Row(what, mix, "s", said, reckoned, median(runs), inputs)


def _drawn(source: random.Random, milliseconds: float, of: Reference) -> float:
    return milliseconds * math.exp(of.scatter * source.gauss(0.0, 1.0))


def capacity(large: int, small: int, share: float) -> float:
    """Requests per second that so many engines can do at a share of large requests, 0 to 1, by R9's rates."""
    by_large = LARGE.rate * large / share if share > 0 else math.inf
    by_small = SMALL.rate * small / (1 - share) if share < 1 else math.inf
    return min(by_large, by_small)


def _capacities(seed: int) -> list[Row]:
    rows = []
    for large, small, said in ((4, 0, 72.0), (1, 12, 185.0), (2, 8, 142.0)):
        share = min(1.0, LARGE.rate * large / said)
        reckoned = capacity(large, small, share)
        rows.append(
            Row(
                f"capacity of {large} large + {small} small",
                f"f = {100 * share:.1f} %",
                "requests/s",
                said,
                reckoned,
                _sustained(large, small, share, reckoned, seed),
                "18 and 180 requests/s per engine (R9)",
            )
        )
    return rows


def _sustained(large: int, small: int, share: float, near: float, seed: int) -> float:
    """The highest rate, in requests per second, at which no queue is left after half an hour."""
    low, high = 0.9 * near, 1.1 * near
    while high - low > _SMALLEST_STEP * near:
        middle = (low + high) / 2
        if _keeps_up(large, small, Load(middle, share), seed):
            low = middle
        else:
            high = middle
    return low


def _keeps_up(large: int, small: int, load: Load, seed: int) -> bool:
    engines = {"small": small, "large": large}
    scenario = Scenario(_cluster(engines), _MODELS, Steady(load), _RATE_SECONDS, engines=engines, seed=seed)
    simulation = Simulation(scenario, _Fixed(engines))
    simulation.run()
    waiting = sum(simulation.moments[-1].queue)
    return waiting < load.rate and not any(count.refused for count in simulation.cluster.routers.counts)


class _Fixed:
    """Decides nothing."""

    def __init__(self, engines: Mapping[str, int]) -> None:
        self._orders = Orders(engines, dict.fromkeys(engines, 100))

    def decide(self, tiers: Sequence[TierState], *_: object) -> Orders:
        return self._orders

    def restart(self) -> None:
        """There is nothing to forget."""


def _cluster(engines: Mapping[str, int]) -> HeteroLLMClusterSpec:
    tiers = [
        {
            "name": name,
            "model": {"id": name},
            "accelerator": {"type": "A100-80GB"},
            "replicas": {"fixed": number, "max": 64},
        }
        for name, number in engines.items()
    ]
    return HeteroLLMClusterSpec.model_validate({"tiers": tiers})


def _model(reference: Reference) -> EngineModel:
    return EngineModel(
        lone_seconds=reference.first_token + reference.per_token * (reference.tokens - 1),
        rate=reference.rate,
        concurrency=reference.concurrency,
        first_token=reference.first_token,
        scatter=reference.scatter,
        gpus=reference.gpus,
        dollars_per_hour=4.0 * reference.gpus,
        cold_start=reference.cold_start,
        source="R9",
    )


_MODELS = {"small": _model(SMALL), "large": _model(LARGE)}
