"""How long a changed policy takes from the API server to the last router, and what is written for it.

Usage: python -m e2e.bench.policy_change [--changes N]

A real API server, and routers as in their pods: the real agent, which watches the ConfigMap with the rights that the
operator gives it, and the real Envoy. The policy is written as the operator writes it. Time runs from the API server's
answer until the last router answers a request by the new version. Everything shares the machine's cores. The engines
are stubs that say they are ready. What comes before, from an engine's readiness to the written policy, is measured with
the real operator on an API server of its own. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import cycle
from pathlib import Path
from statistics import median, quantiles

from e2e.bench import routers as fleet
from e2e.bench.readiness import readiness
from e2e.bench.routers import Publisher, Router
from heterollm_controllers.routing.envoy.files import envoy_files
from heterollm_controllers.routing.ir import Endpoint, RoutingPolicy, TierRoute

ROUTERS = (1, 5)
SIZES = {"2 tiers, 4 engines": (2, 2), "4 tiers, 64 engines": (4, 16)}
"""Tiers, and engines of each."""
LIMIT_MS = 200.0
_PAUSE = 0.3
"""Seconds between two changes: each is measured by itself."""


@dataclass(frozen=True)
class Figures:
    """Changes of one kind. Times in milliseconds, from the API server's answer; `asked_`: from the request.

    Attributes:
        files: Envoy's files that the agent wrote for a change, of how many there are.
        kib: their size in KiB; `policy_kib` is the whole policy's.
    """

    routers: int
    policy: str
    change: str
    p50: float
    p95: float
    worst: float
    asked_p50: float
    asked_p95: float
    files: float
    of_files: int
    kib: float
    policy_kib: float


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--changes", type=int, default=40, help="of each kind (default: %(default)s)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="heterollm-bench-") as name:
        rows = asyncio.run(_run(Path(name) / "policy", given.changes))
        operator = asyncio.run(readiness(Path(name) / "operator", given.changes))
    _show(rows)
    told = {"p50": round(median(operator), 1), "p95": round(_p95(operator), 1), "worst": round(max(operator), 1)}
    print(f"before that, in the operator: from an engine's readiness to the written policy: {told} ms")
    result = {
        "bench": "policy-change",
        "cores": os.cpu_count(),
        "load_1min": round(os.getloadavg()[0], 2),
        "changes": given.changes,
        "figures": [asdict(row) for row in rows],
        "operator_ms": told,
    }
    print(json.dumps(result))


async def _run(folder: Path, changes: int) -> list[Figures]:
    rows = []
    async with fleet.publisher(folder) as source, fleet.engines() as port:
        for size, (tiers, engines) in SIZES.items():
            whole = _policy(tiers, engines, port)
            await source.publish(whole)
            for count in ROUTERS:
                async with fleet.routers(count, source) as routers:
                    for change, policies in _changes(whole).items():
                        rows.append(await _measure(source, routers, size, change, policies, changes))
    return rows


def _policy(tiers: int, engines: int, port: int) -> RoutingPolicy:
    return RoutingPolicy(
        "demo",
        tuple(
            TierRoute(
                f"tier{tier}",
                f"model/{tier}",
                tuple(Endpoint(f"demo-tier{tier}-{n}-0", f"127.0.{tier}.{n + 1}", port) for n in range(engines)),
            )
            for tier in range(tiers)
        ),
    )


def _changes(whole: RoutingPolicy) -> dict[str, Iterator[RoutingPolicy]]:
    """Policies that differ from one to the next in one way."""
    first, *others = whole.tiers
    fewer = replace(first, endpoints=first.endpoints[:-1])
    tighter = replace(first, max_requests=64)
    return {
        "threshold": cycle([replace(whole, complexity_threshold=0.5), whole]),
        "an engine less, more": cycle([replace(whole, tiers=(fewer, *others)), whole]),
        "a tier's capacity": cycle([replace(whole, tiers=(tighter, *others)), whole]),
    }


async def _measure(
    source: Publisher,
    routers: Sequence[Router],
    size: str,
    change: str,
    policies: Iterator[RoutingPolicy],
    changes: int,
) -> Figures:
    after_answer, after_request, written, sizes = [], [], [], []
    for _ in range(changes):
        policy = next(policies)
        before = routers[0].files()
        published = await source.publish(policy)
        last = max(await asyncio.gather(*(router.answers_by(published.version) for router in routers)))
        after_answer.append(1000 * (last - published.answered))
        after_request.append(1000 * (last - published.asked))
        # What is left to write when the routes are in force is written in this pause.
        await asyncio.sleep(_PAUSE)
        now = routers[0].files()
        fresh = [name for name, at in now.items() if before.get(name) != at]
        texts = envoy_files(policy, published.version)
        written.append(len(fresh))
        sizes.append(sum(len(texts[name]) for name in fresh) / 1024)
    return Figures(
        routers=len(routers),
        policy=size,
        change=change,
        p50=round(median(after_answer), 1),
        p95=round(_p95(after_answer), 1),
        worst=round(max(after_answer), 1),
        asked_p50=round(median(after_request), 1),
        asked_p95=round(_p95(after_request), 1),
        files=median(written),
        of_files=len(routers[0].files()),
        kib=round(median(sizes), 1),
        policy_kib=round(sum(map(len, texts.values())) / 1024, 1),
    )


def _p95(values: Sequence[float]) -> float:
    return quantiles(values, n=20, method="inclusive")[-1]


def _show(rows: Sequence[Figures]) -> None:
    print(f"{'ms from the API server to the last router':<52}{'from its answer':>21}{'from the request':>17}", end="")
    print(f"{'written for a change':>24}")
    print(f"{'':<52}{'p50':>7}{'p95':>7}{'max':>7}{'p50':>10}{'p95':>7}{'files':>10}{'KiB':>14}")
    for row in rows:
        name = f"{row.policy}, {row.routers} router{'s' if row.routers > 1 else ''}: {row.change}"
        times = f"{row.p50:>7.0f}{row.p95:>7.0f}{row.worst:>7.0f}{row.asked_p50:>10.0f}{row.asked_p95:>7.0f}"
        print(f"{name:<52}{times}{row.files:>7g}/{row.of_files:<2}{row.kib:>7.1f}/{row.policy_kib:<6.1f}")
    worst = max(row.p95 for row in rows)
    verdict = "met" if worst < LIMIT_MS else "MISSED"
    print(f"bar: p95 to the last router below {LIMIT_MS:g} ms: {verdict} ({worst:.0f} ms)")


if __name__ == "__main__":
    main()
