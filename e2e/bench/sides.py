"""The two sides of the reconcile bench: the operator, and a plain server-side-apply loop."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE
from typing import IO

from e2e.bench import audit
from e2e.bench.audit import AuditLog
from e2e.bench.clusters import BenchApi, apply_clusters, children, objects_per_cluster, prepare, verify
from e2e.bench.usage import cpu_seconds, peak_mib
from e2e.cluster.controlplane import ControlPlane
from e2e.ports import free_port

__all__ = ["Run", "loop", "operator"]

_PATIENCE = 600.0
_QUIET = 5.0
"""Seconds without a look after which the operator counts as settled."""


@dataclass(frozen=True)
class Run:
    """One side, once.

    Attributes:
        seconds: from the first request to the last child made; the operator's begins with applying the clusters.
        cpu_seconds: of the process until the last child was made; `cpu_seconds_settled` until nothing was left to do.
        server_cpu_seconds: of the control plane (API server, storage, controllers) until the last child was made.
        peak_mib: resident memory of the process at its most.
        refused: write requests that did not succeed.
        writes: those that did, by resource.
    """

    side: str
    objects: int
    seconds: float
    cpu_seconds: float
    cpu_seconds_settled: float
    server_cpu_seconds: float
    peak_mib: float
    refused: int
    writes: dict[str, int]


class _Meter:
    """Measures a process and the control plane from now on."""

    def __init__(self, process: _Process, control_plane: ControlPlane, log: AuditLog) -> None:
        assert control_plane.pid is not None
        self._process, self._server, self._log = process, control_plane.pid, log
        self._cpu_before, self._server_before = cpu_seconds(process.pid), cpu_seconds(self._server)
        self._began = time.time()

    async def made(self, objects: int) -> None:
        """Wait until so many objects are made."""
        deadline = time.monotonic() + _PATIENCE
        while self._log.made < objects:
            if self._process.poll() is not None:
                raise RuntimeError(
                    "the process ended; on a busy machine an operator loses its lease, see its log above"
                )
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self._log.made} instead of {objects} objects after {_PATIENCE:g} s")
            await asyncio.sleep(0.1)
            self._log.read()
        self._cpu = cpu_seconds(self._process.pid) - self._cpu_before
        self._server_cpu = cpu_seconds(self._server) - self._server_before

    def result(self, side: str) -> Run:
        """What it took, now that nothing is left to do."""
        self._log.read()
        return Run(
            side=side,
            objects=self._log.made,
            seconds=self._log.last_made - self._began,
            cpu_seconds=self._cpu,
            cpu_seconds_settled=cpu_seconds(self._process.pid) - self._cpu_before,
            server_cpu_seconds=self._server_cpu,
            peak_mib=peak_mib(self._process.pid),
            refused=self._log.refused,
            writes=dict(self._log.by_resource),
        )


async def operator(folder: Path, clusters: int) -> Run:
    """All clusters are applied at once while the operator runs."""
    port = free_port()
    command = ["-m", "heterollm_cli.main", "operator", f"--listen=127.0.0.1:{port}", "--lease-namespace=default"]
    async with _bench(folder) as (control_plane, api):
        command.append(f"--kubeconfig={control_plane.kubeconfig}")
        with _running(command, folder / "operator.log") as process:
            await _leads(process, port)
            meter = _Meter(process, control_plane, AuditLog(folder, "heterollm/"))
            await apply_clusters(api, clusters)
            await meter.made(clusters * objects_per_cluster())
            await _settled(port)
            result = meter.result("operator")
        await verify(api, clusters)
    return result


async def loop(folder: Path, clusters: int, side_by_side: int) -> Run:
    """The plain loop applies the very same objects, so many at a time; the clusters are there before."""
    async with _bench(folder) as (control_plane, api):
        manifests = [child for cluster in await apply_clusters(api, clusters) for child in children(cluster)]
        objects = folder / "objects.jsonl"
        objects.write_text("".join(json.dumps(manifest) + "\n" for manifest in manifests))
        command = ["-m", "e2e.bench.plain_loop", str(control_plane.kubeconfig), str(objects), str(side_by_side)]
        with _running(command, folder / "loop.log") as process:
            await _said(process, "ready")
            meter = _Meter(process, control_plane, AuditLog(folder, "plain-loop"))
            process.stdin.write("go\n")
            process.stdin.flush()
            await meter.made(len(manifests))
            await _said(process, "done")
            result = meter.result(f"loop x {side_by_side}")
        await verify(api, clusters)
    return result


@asynccontextmanager
async def _bench(folder: Path) -> AsyncIterator[tuple[ControlPlane, BenchApi]]:
    """A new control plane, ready for clusters."""
    with audit.start(folder) as control_plane:
        api = await BenchApi.connect(str(control_plane.kubeconfig))
        try:
            await prepare(api)
            yield control_plane, api
        finally:
            await api.close()


@contextmanager
def _running(command: list[str], log: Path) -> Iterator[_Process]:
    """A Python process, ended afterwards."""
    with log.open("w") as errors:
        process = _Process([sys.executable, *command], stdin=PIPE, stdout=PIPE, stderr=errors, text=True)
    try:
        yield process
    except BaseException:
        print(log.read_text(), file=sys.stderr)
        raise
    finally:
        process.terminate()
        process.communicate(timeout=30)


class _Process(subprocess.Popen[str]):
    """With both pipes, whose types say so."""

    stdin: IO[str]
    stdout: IO[str]


async def _said(process: _Process, word: str) -> None:
    """Wait for that line of a process."""
    line = await asyncio.to_thread(process.stdout.readline)
    if line.strip() != word:
        raise RuntimeError(f"the loop said {line!r} instead of {word!r}")


async def _leads(process: _Process, port: int) -> None:
    """Wait until the operator leads."""
    deadline = time.monotonic() + _PATIENCE
    while await _metric(port, "heterollm_leader{") != 1:
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("the operator ended, or did not become the leader")
        await asyncio.sleep(0.2)


async def _settled(port: int) -> None:
    """Wait until the operator has not looked at anything for a while."""
    looks, since = -1.0, time.monotonic()
    while time.monotonic() - since < _QUIET:
        await asyncio.sleep(0.5)
        now = await _metric(port, "heterollm_reconciles_total{")
        if now != looks:
            looks, since = now, time.monotonic()


async def _metric(port: int, series: str) -> float:
    """The sum of a metric's series; 0 while the operator does not answer."""

    def read() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text: str = answer.read().decode()
        return text

    try:
        text = await asyncio.to_thread(read)
    except OSError:
        return 0.0
    found = (line for line in text.splitlines() if line.startswith(series))
    return sum(float(line.rsplit(" ", 1)[1]) for line in found)
