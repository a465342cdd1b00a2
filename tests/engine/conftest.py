"""Engines to test: in this process where the HTTP side is enough, as processes where signals and exits matter."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from simulated_engine import application, config
from simulated_engine.engine import Engine, State
from tests.ports import free_port

ENGINE_IMAGE = Path(__file__).parents[2] / "engine-image"
BASE = (
    *("--model-path", "models/tiny", "--served-model-name", "Qwen/Qwen3-4B", "--enable-metrics"),
    *("--extra-metric-labels", '{"heterollm_tier": "small", "engine": "demo-small-0"}', "--sim-startup-seconds", "0"),
)
START_SECONDS = 20.0


class EngineClient(TestClient[web.Request, web.Application]):
    """An HTTP client of an engine in this process, with the engine at hand."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(TestServer(application.leader(engine), handler_cancellation=True))
        self.engine = engine

    async def until_busy(self, running: int, queued: int = 0) -> None:
        """Let the engine work until so many requests run and wait."""
        scheduler = self.engine.scheduler
        for _ in range(100_000):
            if (scheduler.running, scheduler.queued) == (running, queued):
                return
            await asyncio.sleep(0)
        raise AssertionError(f"{scheduler.running} running, {scheduler.queued} queued")

    async def chat(self, text: str = "hello", **body: object) -> aiohttp.ClientResponse:
        """POST a chat request."""
        message = {"role": "user", "content": text}
        return await self.post("/v1/chat/completions", json={"model": "small", "messages": [message], **body})


Factory = Callable[..., Awaitable[EngineClient]]


@pytest.fixture
async def engine() -> AsyncIterator[Factory]:
    """Make a ready engine in this process from extra options; without latency unless they ask for it."""
    async with AsyncExitStack() as stack:

        async def make(*words: str, ready: bool = True) -> EngineClient:
            made = Engine(config.from_words([*BASE, "--sim-profile", "instant", *words]))
            if ready:
                made.state = State.UP
            client = EngineClient(made)
            await client.start_server()
            stack.push_async_callback(client.close)
            return client

        yield make


@dataclass
class Process:
    """An engine of its own."""

    process: asyncio.subprocess.Process
    url: str

    async def status(self, path: str) -> int:
        """The status of a GET, 0 when nobody listens."""
        try:
            async with aiohttp.ClientSession() as session, session.get(self.url + path) as response:
                return response.status
        except aiohttp.ClientConnectionError:
            return 0

    async def until(self, path: str, status: int) -> None:
        """Wait until a GET has this status."""
        async with asyncio.timeout(START_SECONDS):
            while await self.status(path) != status:
                assert self.process.returncode is None, f"the engine ended with {self.process.returncode}"
                await asyncio.sleep(0.02)

    async def chat_status(self) -> int:
        """The status of a chat request, 0 when the connection breaks."""
        body = {"messages": [{"role": "user", "content": "hello"}]}
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.post(self.url + "/v1/chat/completions", json=body) as response,
            ):
                return response.status
        except aiohttp.ClientConnectionError:
            return 0

    async def until_running(self, count: int) -> None:
        """Wait until so many requests run."""
        async with asyncio.timeout(START_SECONDS), aiohttp.ClientSession() as session:
            while True:
                async with session.get(self.url + "/v1/loads?include=core") as response:
                    if (await response.json())["loads"][0]["num_running_reqs"] == count:
                        return

    def terminate(self) -> None:
        """SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    async def exit_code(self) -> int:
        """Wait for the end."""
        return await asyncio.wait_for(self.process.wait(), START_SECONDS)


Launcher = Callable[..., Awaitable[Process]]


@pytest.fixture
async def launch() -> AsyncIterator[Launcher]:
    """Start engines as processes; whatever is left at the end is killed."""
    started: list[asyncio.subprocess.Process] = []

    async def start(*words: str) -> Process:
        port = free_port()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "simulated_engine", *BASE, "--sim-profile", "instant"),
            *("--port", str(port), *words),
            env={**os.environ, "PYTHONPATH": str(ENGINE_IMAGE)},
        )
        started.append(process)
        return Process(process, f"http://127.0.0.1:{port}")

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
