"""The life of the process: join the ranks, start, serve, drain on SIGTERM, end."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Coroutine

from aiohttp import web

from . import application
from .config import Config
from .engine import Engine, State
from .ranks import EngineLost, Followers, join

__all__ = ["run"]

log = logging.getLogger(__name__)

FLUSH_SECONDS = 1.0
"""How long answers that are complete may take to reach their clients when the process ends."""


async def run(config: Config) -> int:
    """Run one node of an engine to its end; returns the exit code."""
    try:
        if config.node.rank:
            await _run_worker(config)
        else:
            await _run_leader(config)
    except EngineLost as error:
        log.error("%s; a torch process group would fail now, so this process ends", error)
        return 1
    return 0


async def _run_leader(config: Config) -> None:
    engine = Engine(config)
    stop = _on_sigterm("draining: not ready any more, still answering")
    followers = Followers(config.node)
    if not await _completed(followers.gather(), stop):
        return
    runner = await _listen(application.leader(engine), config)
    log.info("serving %s on %s:%d (simulated)", config.identity.model, config.host, config.port)
    # Without the clean-up below, a lost rank ends this one as abruptly as a failed process group does.
    await _serve_unless_lost(engine, followers, stop)
    await followers.dismiss()
    await runner.cleanup()


async def _serve_unless_lost(engine: Engine, followers: Followers, stop: asyncio.Event) -> None:
    loss = asyncio.create_task(followers.loss())
    life = asyncio.create_task(_serve(engine, stop))
    await asyncio.wait({loss, life}, return_when=asyncio.FIRST_COMPLETED)
    if loss.done():
        life.cancel()
        await loss
    loss.cancel()
    await life


async def _serve(engine: Engine, stop: asyncio.Event) -> None:
    if await _completed(asyncio.sleep(engine.config.startup_seconds), stop):
        engine.state = State.UP
        log.info("ready")
    await stop.wait()
    engine.draining = True
    # New requests are still accepted and prolong this, as with SGLang.
    await engine.drained()


async def _completed(work: Coroutine[None, None, None], stop: asyncio.Event) -> bool:
    """Whether the work was done before SIGTERM came."""
    doing = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if doing.done():
        await doing
        return True
    doing.cancel()
    return False


async def _run_worker(config: Config) -> None:
    _on_sigterm("ignored: the leader ends this rank")
    leader = await join(config.node)
    runner = await _listen(application.worker(config.metrics), config)
    log.info("rank %d of %d joined", config.node.rank, config.node.count)
    await leader.end()
    await runner.cleanup()


def _on_sigterm(message: str) -> asyncio.Event:
    called = asyncio.Event()

    def handle() -> None:
        log.warning("SIGTERM: %s", message)
        called.set()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, handle)
    return called


async def _listen(app: web.Application, config: Config) -> web.AppRunner:
    # A client that goes away ends its request, so that its slot is free at once.
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=FLUSH_SECONDS)
    await runner.setup()
    await web.TCPSite(runner, config.host, config.port, backlog=2048).start()
    return runner
