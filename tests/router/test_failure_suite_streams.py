"""Failure suite: what becomes of streams. One that has not begun is tried again; one that has begun cannot be.

A stream whose engine dies ends with an event that says so, and without its last chunk, so no client can take it for
complete.
"""

from __future__ import annotations

import asyncio
import signal

import aiohttp
import openai
import pytest
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam

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


async def test_streams_of_a_dead_engine_end_with_an_error() -> None:
    async with Fleet(*LONG) as fleet:
        a, b = await fleet.engines("a", "b")
        async with Envoy(policy(fleet.tier("small", a)), brisk) as envoy, _openai(envoy) as client:
            streams = [await _asked(client, number) for number in range(8)]
            await envoy.publish(policy(fleet.tier("small", b)))
            a.send(signal.SIGKILL)
            for stream in streams:
                with pytest.raises(openai.APIError) as failed:
                    async for _ in stream:
                        pass
                assert (failed.value.code, failed.value.type) == ("engine_failed", "server_error")
                assert failed.value.message == "The engine failed while it answered."


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


def _openai(envoy: Envoy) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{envoy.url}/v1", api_key="none", max_retries=0, timeout=20)


async def _asked(client: openai.AsyncOpenAI, number: int) -> openai.AsyncStream[ChatCompletionChunk]:
    """The same as OpenAI's client has it."""
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": f"question {number}"}]
    stream = await client.chat.completions.create(model="small", messages=messages, stream=True)
    await anext(stream)
    return stream


async def _begun(client: aiohttp.ClientSession, number: int) -> aiohttp.ClientResponse:
    """A stream of which the first event has come."""
    body = chat(f"question {number}", model="small", stream=True)
    answer = await client.post("/v1/chat/completions", json=body)
    assert answer.status == 200
    await answer.content.readuntil(b"\n\n")
    return answer
