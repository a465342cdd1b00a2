"""How fast and at what cost the operator makes the children of many clusters, beside a plain server-side-apply loop.

Usage: python -m e2e.bench.reconcile [--clusters N] [--repeat N]

Every side gets a new control plane without nodes, whose controllers do their part meanwhile: they make pods, for which
the scheduler finds no place. The loop is one process with the operator's own HTTP client that applies the very same
objects, once one by one and once with 16 requests under way: no status, no events, no reads, no watches. Times are from
the API server's audit log, CPU and memory from the kernel. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from e2e.bench import sides
from e2e.bench.sides import Run

SIDE_BY_SIDE = 16

FIGURES: list[tuple[str, Callable[[Run], float]]] = [
    ("all children exist after, s", lambda run: run.seconds),
    ("objects/s", lambda run: run.objects / run.seconds),
    ("CPU until then, s", lambda run: run.cpu_seconds),
    ("CPU per object, ms", lambda run: 1000 * run.cpu_seconds / run.objects),
    ("CPU until settled, s", lambda run: run.cpu_seconds_settled),
    ("control plane's CPU, s", lambda run: run.server_cpu_seconds),
    ("peak memory, MiB", lambda run: run.peak_mib),
    ("writes", lambda run: sum(run.writes.values())),
    ("writes refused", lambda run: run.refused),
]


async def measure(clusters: int, repeat: int) -> list[list[Run]]:
    """All sides in turn, `repeat` times; one list per side."""
    runs: list[list[Run]] = [[], [], []]
    with tempfile.TemporaryDirectory(prefix="heterollm-bench-") as name:
        for number in range(repeat):
            folder = Path(name) / str(number)
            turns = (
                sides.operator(folder / "operator", clusters),
                sides.loop(folder / "loop", clusters, 1),
                sides.loop(folder / "wide-loop", clusters, SIDE_BY_SIDE),
            )
            for side, turn in zip(runs, turns, strict=True):
                side.append(await turn)
                last = side[-1]
                print(
                    f"run {number + 1}/{repeat}: {last.side}: {last.objects} objects in {last.seconds:.1f} s",
                    flush=True,
                )
    return runs


def medians(runs: Sequence[Run]) -> dict[str, float]:
    """The figures of one side."""
    return {label: statistics.median(figure(run) for run in runs) for label, figure in FIGURES}


def show(runs: Sequence[Sequence[Run]]) -> None:
    """The figures side by side, the operator's also as multiples of each loop's; then the writes by resource."""
    operator, *loops = (medians(side) for side in runs)
    names = [side[0].side for side in runs]
    ratios = [f"/ {name}" for name in names[1:]]
    print(f"\n{'median of ' + str(len(runs[0])):<30}" + "".join(f"{name:>20}" for name in [*names, *ratios]))
    for label, _ in FIGURES:
        values = [operator[label], *(loop[label] for loop in loops)]
        cells = [f"{value:.2f}" for value in values]
        cells += [f"{operator[label] / loop[label]:.2f}" if loop[label] else "-" for loop in loops]
        print(f"{label:<30}" + "".join(f"{cell:>20}" for cell in cells))
    print(f"\n{'writes by resource':<46}" + "".join(f"{name:>20}" for name in names))
    for resource in sorted(set().union(*(side[-1].writes for side in runs))):
        print(f"{resource:<46}" + "".join(f"{side[-1].writes.get(resource, 0):>20}" for side in runs))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clusters", type=int, default=200, help="clusters applied at once (default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=1, help="runs of every side (default: %(default)s)")
    given = parser.parse_args()
    runs = asyncio.run(measure(given.clusters, given.repeat))
    show(runs)
    result = {
        "bench": "reconcile",
        "clusters": given.clusters,
        "cores": os.cpu_count(),
        "load_1min": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "medians": {side[0].side: medians(side) for side in runs},
        "runs": [asdict(run) for side in runs for run in side],
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
