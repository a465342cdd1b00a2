"""Failure suite: what becomes of streams. One that has not begun is tried again; one that has begun cannot be.

A stream whose engine dies ends without its last chunk, so no client can take it for complete. Envoy tells no filter of
it once the answer has begun, so nothing could write an error event before the end.
"""

from __future__ import annotations

import asyncio
import signal

import aiohttp
import pytest

from tests.router.envoy import Envoy, chat, policy
from tests.router.fleet import Fleet, SimulatedEngine, brisk

LONG = ("--sim-tpot-ms", "10", "--sim-output-tokens", "150")
DONE = b"data: [DONE]\n\n"


async def test_streams_of_a_draining_engine_end_as_they_should() -> None:
    async with Fleet(*LONG) as fleet:
        a, b = await fleet.engines("a", "b")
        async with Envoy(policy(fleet.tier("small", a)), brisk) as envoy, envoy.session() as client:
            streams = [await _begun(client, number) for number in range(8)]
            await envoy.publish(policy(fleet.tier("small", b)))
            a.send(signal.SIGTERM)
            for text in await asyncio.gather(*(stream.read() for stream in streams)):
                assert text.endswith(DONE)
            assert await a.ended() == 0


async def test_streams_of_a_dead_engine_break_off_detectably() -> None:
    async with Fleet(*LONG) as fleet:
        a, b = await fleet.engines("a", "b")
        async with Envoy(policy(fleet.tier("small", a)), brisk) as envoy, envoy.session() as client:
            streams = [await _begun(client, number) for number in range(8)]
            await envoy.publish(policy(fleet.tier("small", b)))
            a.send(signal.SIGKILL)
            for stream in streams:
                with pytest.raises(aiohttp.ClientPayloadError):
                    await stream.read()


async def test_streams_that_have_not_begun_are_answered_by_another_engine() -> None:
    async with Fleet("--sim-ttft-p50-ms", "30000", "--sim-ttft-p99-ms", "30000") as slow, Fleet() as fleet:
        (a,) = await slow.engines("a")
        (large,) = await fleet.engines("l")
        tiers = policy(fleet.tier("small", a), fleet.tier("large", large))
        async with Envoy(tiers, brisk) as envoy, envoy.session() as client, asyncio.TaskGroup() as group:
            waiting = [group.create_task(_begun(client, number)) for number in range(8)]
            await envoy.until_async(lambda: _runs(a, len(waiting)))
            a.send(signal.SIGKILL)
            for task in waiting:
                stream = await task
                assert stream.headers["x-llm-tier"] == "large"
                assert (await stream.read()).endswith(DONE)


async def _runs(engine: SimulatedEngine, count: int) -> bool:
    return await engine.running() == count


async def _begun(client: aiohttp.ClientSession, number: int) -> aiohttp.ClientResponse:
    """A stream of which the first event has come."""
    body = chat(f"question {number}", model="small", stream=True)
    answer = await client.post("/v1/chat/completions", json=body)
    assert answer.status == 200
    await answer.content.readuntil(b"\n\n")
    return answer
