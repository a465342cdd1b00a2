"""Simulated engines as processes of their own, killed, stopped and replaced while a router sends them requests."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp

from heterollm_controllers.routing import Endpoint, TierRoute
from tests.ports import free_port
from tests.router.envoy import fast
from tests.router.patience import eventually

__all__ = ["Fleet", "SimulatedEngine", "brisk"]

_SOURCE = Path(__file__).parents[2] / "engine-image"
SPEED = ("--sim-profile", "instant", "--sim-ttft-p50-ms", "60", "--sim-ttft-p99-ms", "90", "--sim-tpot-ms", "1")
"""An answer takes about 0.1 s, so a dozen clients are a steady load that leaves the machine room."""

_START = 60.0
"""Seconds that Python may take to start, where several do so on a busy machine."""


def brisk(cluster: dict[str, Any]) -> None:
    """Health checks more often than in earnest, and patient enough for a busy machine; shorter ejections."""
    fast(cluster)
    for check in cluster.get("health_checks", ()):
        check.update(interval="0.2s", no_traffic_interval="0.2s", timeout="0.7s")
    if "outlier_detection" in cluster:
        cluster["outlier_detection"].update(base_ejection_time="1s", max_ejection_time="2s")


class SimulatedEngine:
    """One engine's process. Its pod name and port stay when it is started again."""

    def __init__(self, pod: str, words: tuple[str, ...] = ()) -> None:
        self.pod = pod
        self._words = words
        self.port = free_port()
        self._process: asyncio.subprocess.Process | None = None

    @property
    def endpoint(self) -> Endpoint:
        """Its place in a policy."""
        return Endpoint(self.pod, "127.0.0.1", self.port)

    async def start(self) -> None:
        """Start the process and wait until it is ready."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "simulated_engine", "--model-path", "m", "--port", str(self.port)),
            *("--sim-startup-seconds", "0", "--sim-fault", "{}", "--sim-engine", self.pod, *SPEED, *self._words),
            env={**os.environ, "PYTHONPATH": str(_SOURCE)},
            stderr=asyncio.subprocess.DEVNULL,
        )
        await eventually(self._ready, limit=_START)

    def send(self, number: signal.Signals) -> None:
        """SIGKILL: dead. SIGSTOP: hangs, with its connections open. SIGTERM: drains and ends."""
        assert self._process is not None
        self._process.send_signal(number)

    async def ended(self) -> int:
        """Wait for its end; the exit status."""
        assert self._process is not None
        async with asyncio.timeout(10):
            return await self._process.wait()

    async def kill(self) -> None:
        """End the process at once, whatever it does."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def faults(self, **plan: float) -> None:
        """Fail in this way from now on; without any, not at all."""
        async with aiohttp.ClientSession() as session:
            answer = await session.post(f"http://127.0.0.1:{self.port}/sim/faults", json=plan)
            assert answer.status == 200, await answer.text()

    async def running(self) -> int:
        """How many requests it is answering."""
        async with aiohttp.ClientSession() as session:
            answer = await session.get(f"http://127.0.0.1:{self.port}/v1/loads?include=core")
            found: int = (await answer.json())["loads"][0]["num_running_reqs"]
            return found

    async def _ready(self) -> bool:
        try:
            async with aiohttp.ClientSession() as session:
                return (await session.get(f"http://127.0.0.1:{self.port}/ready")).status == 200
        except aiohttp.ClientConnectionError:
            return False


class Fleet:
    """Engines for the length of an `async with`."""

    def __init__(self, *words: str) -> None:
        self._words = words
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Fleet:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def engines(self, *pods: str) -> list[SimulatedEngine]:
        """Start engines, all at once."""
        made = [SimulatedEngine(pod, self._words) for pod in pods]
        for engine in made:
            self._stack.push_async_callback(engine.kill)
        await asyncio.gather(*(engine.start() for engine in made))
        return made

    @staticmethod
    def tier(name: str, *engines: SimulatedEngine, **more: Any) -> TierRoute:
        """A tier of these engines."""
        return TierRoute(name, f"model/{name}", tuple(engine.endpoint for engine in engines), **more)
