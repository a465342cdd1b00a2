"""Server-sent events in OpenAI's and in SGLang's form."""

import json
from itertools import pairwise
from typing import Any

import aiohttp

from .conftest import Factory


async def events(response: aiohttp.ClientResponse) -> list[Any]:
    """The events' data; checks the end mark."""
    assert response.status == 200
    assert response.content_type == "text/event-stream"
    blocks = (await response.text()).removesuffix("\n\n").split("\n\n")
    assert blocks.pop() == "data: [DONE]"
    return [json.loads(block.removeprefix("data: ")) for block in blocks]


async def test_chat_chunks(engine: Factory) -> None:
    client = await engine("--sim-tpot-ms", "2")
    chunks = await events(await client.chat(stream=True, max_tokens=4))
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0]["role"] == "assistant"
    assert "".join(delta.get("content", "") for delta in deltas).startswith("[simulated answer: tier small")
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[-2:]] == [None, "length"]


async def test_usage_comes_last_when_asked_for(engine: Factory) -> None:
    client = await engine()
    chunks = await events(await client.chat(stream=True, max_tokens=4, stream_options={"include_usage": True}))
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == 4
    assert all("usage" not in chunk for chunk in chunks[:-1])


async def test_text_arrives_while_it_is_made(engine: Factory) -> None:
    client = await engine("--sim-tpot-ms", "5", "--sim-output-tokens", "1000")
    response = await client.chat(stream=True, max_tokens=500)
    # The whole answer takes 2.5 s; its beginning is here while the request still runs.
    assert b"assistant" in await response.content.readuntil(b"\n\n")
    assert client.engine.scheduler.running == 1
    response.close()


async def test_streamed_and_plain_texts_are_the_same(engine: Factory) -> None:
    plain = await (await (await engine("--sim-seed", "7")).chat(max_tokens=9)).json()
    chunks = await events(await (await engine("--sim-seed", "7")).chat(stream=True, max_tokens=9))
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    assert text == plain["choices"][0]["message"]["content"]


async def test_completion_chunks(engine: Factory) -> None:
    client = await engine()
    body = {"model": "m", "prompt": "p", "stream": True, "max_tokens": 3}
    chunks = await events(await client.post("/v1/completions", json=body))
    assert {chunk["object"] for chunk in chunks} == {"text_completion"}
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"


async def test_generate_repeats_the_text_so_far(engine: Factory) -> None:
    client = await engine("--sim-tpot-ms", "2")
    body = {"text": "p", "stream": True, "sampling_params": {"max_new_tokens": 3}}
    outputs = await events(await client.post("/generate", json=body))
    for before, after in pairwise(outputs):
        assert after["text"].startswith(before["text"])
    assert outputs[-1]["meta_info"]["finish_reason"]["type"] == "length"
    assert outputs[-1]["meta_info"]["completion_tokens"] == 3
