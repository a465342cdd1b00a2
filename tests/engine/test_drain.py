"""SIGTERM: not ready at once, everything accepted is still answered, then the process ends."""

import asyncio

from .conftest import Launcher


async def test_it_answers_what_it_has_and_what_still_comes(launch: Launcher) -> None:
    engine = await launch("--sim-ttft-p50-ms", "400", "--sim-ttft-p99-ms", "400")
    await engine.until("/ready", 200)
    before = asyncio.ensure_future(engine.chat_status())
    await engine.until_running(1)
    engine.terminate()
    await engine.until("/ready", 503)
    assert await engine.status("/health") == 503
    after = asyncio.ensure_future(engine.chat_status())
    assert await before == 200
    assert await after == 200, "a draining SGLang still accepts"
    assert await engine.exit_code() == 0


async def test_an_idle_engine_ends_at_once(launch: Launcher) -> None:
    engine = await launch()
    await engine.until("/ready", 200)
    engine.terminate()
    assert await engine.exit_code() == 0


async def test_a_starting_engine_ends_at_once(launch: Launcher) -> None:
    engine = await launch("--sim-startup-seconds", "600")
    await engine.until("/ready", 503)
    engine.terminate()
    assert await engine.exit_code() == 0
