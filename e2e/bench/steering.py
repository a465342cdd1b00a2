"""What a tick of the poller costs: asking Prometheus, taking the answers apart, and steering every cluster by them.

Usage: python -m e2e.bench.steering [--clusters N ...] [--ticks N]

Clusters have 2 tiers of 5 engines each, so 1,000 of them have 10,000 engines. Prometheus is a process of its own that
answers from text made beforehand, so what is measured is the operator's part: one process for each number of clusters,
in seconds of CPU, all threads together. `due` is the real steering of every cluster. The first tick of a minute also
asks for an hour of history. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from e2e.bench.synthetic_prometheus import ENGINES, TIERS, keys, pod
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.metrics.readings import Readings
from heterollm_controllers.observation.tier_state import EngineState, TierState
from heterollm_controllers.reconcile.control_loop import steer
from heterollm_controllers.reconcile.control_state import ControlState
from heterollm_controllers.reconcile.recheck import Recheck
from heterollm_operator.kube.store import Key
from heterollm_operator.process.rechecks import Rechecks
from heterollm_operator.prometheus.client import Prometheus
from heterollm_operator.prometheus.poller import Poller, Polling
from heterollm_operator.runtime.gc_tuning import collect_rarely
from heterollm_operator.runtime.metrics import Metrics

_POLL = timedelta(seconds=5)
_PER_MINUTE = 12


@dataclass(frozen=True)
class Result:
    """Of one number of clusters. Seconds of CPU unless said otherwise; memory in MiB."""

    clusters: int
    queries: int
    queries_with_history: int
    tick: float
    tick_with_history: float
    check: float
    """The part of a tick that steers."""
    wall: float
    """Seconds from the beginning of a tick to its end."""
    before: float
    """ControlState before the first tick, with what looks left of every cluster."""
    after: float
    most: float
    due: int
    """Clusters that a look was due at in the last tick: none, as nothing changes."""


class Clock:
    """Ticks follow each other at once, five seconds apart by this clock."""

    def __init__(self) -> None:
        # A whole minute, so that every twelfth tick is the first one of a minute.
        self._begun = datetime.now(UTC).replace(second=0, microsecond=0)
        self.offset = timedelta()

    def monotonic(self) -> float:
        return time.monotonic()

    def utc(self) -> datetime:
        return self._begun + self.offset

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clusters", type=int, nargs="+", default=[1, 100, 1000], help="(default: %(default)s)")
    parser.add_argument("--ticks", type=int, default=24, help="ticks measured (default: %(default)s)")
    parser.add_argument("--measure", metavar="URL", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(asdict(asyncio.run(_measure(options.clusters[0], options.ticks, options.measure)))))
        return
    results = [_run(clusters, options.ticks) for clusters in options.clusters]
    _show(results)
    print(json.dumps({"ticks": options.ticks, "engines_per_cluster": ENGINES * len(TIERS), "results": results}))


def _run(clusters: int, ticks: int) -> dict[str, float]:
    with _prometheus(clusters) as url:
        command = [sys.executable, "-m", "e2e.bench.steering", "--measure", url]
        command += ["--clusters", str(clusters), "--ticks", str(ticks)]
        found: dict[str, float] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        return found


@contextmanager
def _prometheus(clusters: int) -> Iterator[str]:
    command = [sys.executable, "-m", "e2e.bench.synthetic_prometheus", str(clusters)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


async def _measure(clusters: int, ticks: int, url: str) -> Result:
    collect_rarely()  # as the operator does
    clock = Clock()
    bench = _Bench(clusters, url, clock)
    before = _memory("VmRSS")
    plain: list[_Tick] = []
    whole: list[_Tick] = []
    # The first ticks fill caches and bring every cluster to where it stays.
    for number in range(-_PER_MINUTE, ticks):
        tick = await bench.tick()
        clock.offset += _POLL
        if number >= 0:
            (plain if number % _PER_MINUTE else whole).append(tick)
    return Result(
        clusters=clusters,
        queries=max(tick.queries for tick in plain),
        queries_with_history=max(tick.queries for tick in whole),
        tick=median(tick.cpu for tick in plain),
        tick_with_history=median(tick.cpu for tick in whole),
        check=median(tick.check for tick in plain),
        wall=median(tick.wall for tick in plain),
        before=before,
        after=_memory("VmRSS"),
        most=_memory("VmHWM"),
        due=bench.due,
    )


@dataclass(frozen=True)
class _Tick:
    """Seconds, and queries."""

    cpu: float
    check: float
    wall: float
    queries: int


class _Bench:
    def __init__(self, clusters: int, url: str, clock: Clock) -> None:
        self._url = url
        self._clock = clock
        self._rechecks = Rechecks(clock)
        for key in keys(clusters):
            self._rechecks.reconciled(key, _given(key, clock.utc()))
        source = Prometheus(url, lambda: datetime.now(UTC))
        polling = Polling(deadline=60)
        specs = {key: recheck.spec for key, recheck in self._rechecks.known().items()}
        self._poller = Poller(source, polling, lambda: specs, self._due, self._look, Metrics(), clock)
        self._check = 0.0
        self.due = 0

    async def tick(self) -> _Tick:
        """One tick."""
        asked = self._asked()
        self._check, self.due = 0.0, 0
        cpu, wall = time.process_time(), time.perf_counter()
        await self._poller.tick()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        return _Tick(cpu, self._check, wall, self._asked() - asked)

    def _due(self, key: Key, readings: Readings) -> bool:
        if readings.failure:
            raise SystemExit(readings.failure)
        start = time.thread_time()
        found = self._rechecks.due(key, readings)
        self._check += time.thread_time() - start
        return found

    def _look(self, key: Key) -> None:
        """What a look would do: record."""
        self.due += 1
        given, readings = self._rechecks.known()[key], self._poller.readings(key)
        after = steer(given.spec, given.tiers, given.state, readings, self._clock.utc())
        self._rechecks.reconciled(key, Recheck(given.spec, given.tiers, after.state, after.missing))

    def _asked(self) -> int:
        with urllib.request.urlopen(f"{self._url}/count") as answer:
            return int(answer.read())


def _given(key: Key, now: datetime) -> Recheck:
    tiers = [
        {
            "name": tier,
            "model": {"id": "Qwen/Qwen3-4B"},
            "accelerator": {"type": "L40S"},
            "replicas": {"min": 2, "max": ENGINES + 5},
        }
        for tier in TIERS
    ]
    spec = HeteroLLMClusterSpec.model_validate({"tiers": tiers})
    long_ago = now - timedelta(days=1)
    facts = tuple(
        TierState(
            tier,
            tuple(
                EngineState(f"{key.name}-{tier}-{number}", pod(key, tier, number), serving=True, serving_since=long_ago)
                for number in range(ENGINES)
            ),
            concurrency=20,
            rate=6.0,
            start_seconds=90.0,
        )
        for tier in TIERS
    )
    return Recheck(spec, facts, ControlState())


def _memory(name: str) -> float:
    """MiB of this process."""
    status = Path("/proc/self/status").read_text().splitlines()
    (line,) = [line for line in status if line.startswith(f"{name}:")]
    return int(line.split()[1]) / 1024


def _show(results: list[dict[str, float]]) -> None:
    print("clusters  queries (+history)  CPU/tick  of it steering  +history   wall     MiB: before  after   most   due")
    for row in results:
        print(
            f"{row['clusters']:8d}  {row['queries']:7d} ({row['queries_with_history']:d})        {row['tick']:7.3f} s"
            f"  {row['check']:8.3f} s  {row['tick_with_history']:10.3f} s {row['wall']:7.3f} s"
            f"  {row['before']:9.0f} {row['after']:6.0f} {row['most']:6.0f} {row['due']:5d}"
        )


if __name__ == "__main__":
    main()
