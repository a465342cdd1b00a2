"""How long sizing takes: one tier searched anew, and 1,000 unchanged clusters looked at again.

Usage: python -m e2e.bench.sizing [--repeat N]

Every model of the catalogue is sized on every accelerator with nothing fixed, which is the widest search there is, with
empty caches and with warm ones. Then 1,000 clusters of two tiers are sized as a steady operator does it. Milliseconds
of one process; the ratio is the first figure to the second. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from statistics import median, quantiles

from heterollm_controllers import sizing
from heterollm_controllers.api.errors import Impossible
from heterollm_controllers.api.v1alpha1.tier import Tier
from heterollm_controllers.sizing import size
from heterollm_controllers.sizing.accelerators import accelerator_names
from heterollm_controllers.sizing.models import model_ids
from heterollm_controllers.sizing.rules import broken
from heterollm_controllers.sizing.search import searched
from heterollm_controllers.sizing.weights import weights

CLUSTERS = 1000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3, help="runs of everything (default: %(default)s)")
    options = parser.parse_args()
    tiers = [_tier(model, gpu) for model in model_ids() for gpu in accelerator_names()]
    for tier in tiers:
        _size(tier)  # reads the catalogues, which happens once in a process
    cold = [_milliseconds(tier, forget) for _ in range(options.repeat) for tier in tiers]
    for tier in tiers:
        _size(tier)
    warm = [_milliseconds(tier, lambda: None) for _ in range(options.repeat) for tier in tiers]
    one = {
        "searches": len(cold),
        "fitting": sum(_size(tier) for tier in tiers),
        "anew": _spread(cold),
        "again": _spread(warm),
    }
    many = _clusters(options.repeat)
    _show(one, many)
    print(json.dumps({"tier_ms": one, "clusters_1000_ms": many}))


def forget() -> None:
    """Empty every cache of sizing, but not the catalogues."""
    sizing._sized.cache_clear()
    searched.cache_clear()
    broken.cache_clear()
    weights.cache_clear()


def _tier(model: str, gpu: str, name: str = "t") -> Tier:
    return Tier.model_validate({"name": name, "model": {"id": model}, "accelerator": {"type": gpu}})


def _size(tier: Tier) -> bool:
    try:
        size(tier)
    except Impossible:
        return False
    return True


def _milliseconds(tier: Tier, before: Callable[[], None]) -> float:
    before()
    start = time.perf_counter()
    _size(tier)
    return (time.perf_counter() - start) * 1e3


def _spread(times: list[float]) -> dict[str, float]:
    return {"median": median(times), "p99": quantiles(times, n=100)[98], "max": max(times)}


def _clusters(repeat: int) -> dict[str, float]:
    """1,000 clusters, the first time and each time after that."""
    tiers = [
        _tier(model, "A100-80GB", name)
        for _ in range(CLUSTERS)
        for name, model in (("small", "Qwen/Qwen3-4B"), ("large", "Qwen/Qwen3-235B-A22B"))
    ]
    forget()
    first = _all(tiers)
    return {"first": first, "again": median(_all(tiers) for _ in range(repeat))}


def _all(tiers: list[Tier]) -> float:
    start = time.perf_counter()
    for tier in tiers:
        _size(tier)
    return (time.perf_counter() - start) * 1e3


def _show(one: dict[str, object], many: dict[str, float]) -> None:
    anew, again = one["anew"], one["again"]
    assert isinstance(anew, dict)
    assert isinstance(again, dict)
    print(f"one tier, nothing fixed: {one['searches']} searches, {one['fitting']} model and GPU pairs fit\n")
    print(f"{'':8}{'anew, ms':>12}{'again, ms':>12}{'ratio':>8}")
    for name in ("median", "p99", "max"):
        print(f"{name:8}{anew[name]:>12.3f}{again[name]:>12.3f}{anew[name] / again[name]:>8.1f}")
    print(f"\n{CLUSTERS} clusters of two tiers: first {many['first']:.1f} ms, again {many['again']:.1f} ms")


if __name__ == "__main__":
    main()
