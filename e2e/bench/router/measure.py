"""Sides that run, and one measurement of one of them."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from subprocess import Popen

from e2e.bench.router.cases import CASES, Case, messages
from e2e.bench.router.installs import Absent
from e2e.bench.router.load import BadAnswer, Load, run_load
from e2e.bench.router.process import cores, cpu_seconds, resident_mib, running, tree
from e2e.bench.router.sides import SIDES, Place
from e2e.ports import free_port

__all__ = ["Figures", "Running", "engines", "measure", "started"]

_ENGINES = 4
_START_SECONDS = 60.0
"""Most that a side may take until it answers."""


@dataclass(frozen=True)
class Running:
    """A side that answers; no process for direct requests."""

    name: str
    port: int
    process: Popen[bytes] | None

    def pids(self) -> list[int]:
        """All its processes."""
        return tree(self.process.pid) if self.process is not None else []


@dataclass(frozen=True)
class Figures:
    """One measurement.

    Attributes:
        cpu_us: user and system time of the side's processes per request.
        p50_ms, p99_ms: from sending a request to the last byte of its answer.
        event_p50_ms, event_p99_ms: from the engine's writing an event to the client's reading it; 0 when plain.
        resident_mib: memory afterwards.
    """

    cpu_us: float
    per_second: float
    p50_ms: float
    p99_ms: float
    event_p50_ms: float
    event_p99_ms: float
    resident_mib: float


@contextmanager
def engines(directory: Path) -> Iterator[list[int]]:
    """The stub engines' ports."""
    words = [sys.executable, "-m", "e2e.bench.router.upstream", str(_ENGINES)]
    with running(words, directory / "upstream.log", cores()[1], {}, quiet=False) as process:
        assert process.stdout is not None
        yield [int(word) for word in process.stdout.readline().split()]


@asynccontextmanager
async def started(name: str, engine_ports: list[int], directory: Path) -> AsyncIterator[Running]:
    """A side that has answered a request of every case; raises Absent with the reason where that does not happen."""
    side = SIDES[name]
    if side.command is None:
        yield Running(name, engine_ports[0], None)
        return
    place = Place(directory / name, free_port(), engine_ports)
    place.directory.mkdir()
    log = directory / f"{name}.log"
    command = await asyncio.to_thread(side.command, place)
    with running(command.words, log, cores()[0], command.environment) as process:
        found = Running(name, place.port, process)
        await _until_it_answers(found, log)
        yield found


async def _until_it_answers(side: Running, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            for case in CASES:
                await _load(side, case, 0.0)
            return
        except BadAnswer as error:
            assert side.process is not None
            if side.process.poll() is not None or time.monotonic() > deadline:
                raise Absent(f"{side.name} does not answer: {error}\n{_said(log)}") from error
        await asyncio.sleep(0.2)


def _said(log: Path) -> str:
    """Its beginning and end: some say at once what is wrong, some at last."""
    text = log.read_text(errors="replace").strip()
    return text if len(text) <= 1600 else f"{text[:800]}\n...\n{text[-800:]}"


async def measure(side: Running, case: Case, seconds: float) -> Figures:
    """One case for so many seconds, after a short warm-up."""
    await _load(side, case, seconds / 5)
    before = cpu_seconds(side.pids())
    load = await _load(side, case, seconds)
    pids = side.pids()
    used = cpu_seconds(pids) - before
    return Figures(
        cpu_us=used / len(load.latencies) * 1e6,
        per_second=len(load.latencies) / load.seconds,
        p50_ms=median(load.latencies) * 1e3,
        p99_ms=_p99(load.latencies) * 1e3,
        event_p50_ms=median(load.event_delays) if case.stream else 0.0,
        event_p99_ms=_p99(load.event_delays) if case.stream else 0.0,
        resident_mib=resident_mib(pids),
    )


async def _load(side: Running, case: Case, seconds: float) -> Load:
    sent = messages(case, SIDES[side.name].model)
    return await run_load(side.port, sent, case.connections, seconds, streamed=case.stream)


def _p99(values: list[float]) -> float:
    return quantiles(values, n=100)[98] if len(values) > 1 else values[0]
