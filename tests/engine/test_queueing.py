"""Slots, the waiting queue, KV memory, aborts and pauses."""

import asyncio

import aiohttp

from .conftest import EngineClient, Factory

LONG = ("--sim-tpot-ms", "1000", "--sim-output-tokens", "100")
"""Answers that do not end within a test."""


def background(client: EngineClient, **body: object) -> "asyncio.Task[aiohttp.ClientResponse]":
    return asyncio.ensure_future(client.chat(**body))  # type: ignore[arg-type]


async def test_requests_beyond_the_slots_wait(engine: Factory) -> None:
    client = await engine(*LONG, "--max-running-requests", "2")
    asks = [background(client) for _ in range(5)]
    await client.until_busy(2, 3)
    asks[0].cancel()
    asks[1].cancel()
    await client.until_busy(2, 1)
    for ask in asks:
        ask.cancel()


async def test_a_full_queue_refuses(engine: Factory) -> None:
    client = await engine(*LONG, "--max-running-requests", "1", "--max-queued-requests", "1")
    asks = [background(client) for _ in range(2)]
    await client.until_busy(1, 1)
    plain = await client.chat()
    assert plain.status == 503
    assert await plain.json() == {
        "object": "error",
        "message": "The request queue is full.",
        "type": "503",
        "param": None,
        "code": 503,
    }
    streamed = await client.chat(stream=True)
    assert streamed.status == 200, "SGLang refuses a streamed request inside a 200"
    assert '"code":503' in await streamed.text()
    for ask in asks:
        ask.cancel()


async def test_memory_limits_what_runs(engine: Factory) -> None:
    client = await engine(*LONG, "--max-total-tokens", "250", "--sim-output-tokens", "100")
    asks = [background(client, max_tokens=100, ignore_eos=True) for _ in range(3)]
    await client.until_busy(2, 1)
    for ask in asks:
        ask.cancel()


async def test_a_client_that_leaves_frees_its_slot(engine: Factory) -> None:
    client = await engine(*LONG)
    ask = background(client)
    await client.until_busy(1, 0)
    ask.cancel()
    await client.until_busy(0, 0)
    assert client.engine.counters.aborted == 1


async def test_requests_start_at_the_given_rate(engine: Factory) -> None:
    client = await engine("--sim-rps", "100")
    start = asyncio.get_running_loop().time()
    await asyncio.gather(*(client.chat() for _ in range(20)))
    elapsed = asyncio.get_running_loop().time() - start
    # 20 requests at 100/s, of which the burst allowance lets two or three start at once.
    assert elapsed >= 0.15


async def test_an_abort_ends_running_and_waiting_requests(engine: Factory) -> None:
    client = await engine(*LONG, "--max-running-requests", "1")
    first = background(client, rid="conversation-1")
    await client.until_busy(1, 0)
    second = background(client, rid="conversation-2")
    await client.until_busy(1, 1)
    assert (await client.post("/abort_request", json={"rid": "conversation-2"})).status == 200
    assert (await second).status == 503
    await client.post("/abort_request", json={"abort_all": True})
    answer = await (await first).json()
    assert answer["choices"][0]["finish_reason"] == "abort"


async def test_a_pause_makes_it_unready_and_holds_new_requests(engine: Factory) -> None:
    client = await engine()
    assert (await client.post("/pause_generation", json={"mode": "in_place"})).status == 200
    assert (await client.get("/ready")).status == 503
    assert (await client.get("/ping")).status == 200
    ask = background(client)
    await client.until_busy(0, 1)
    await client.post("/continue_generation", json={})
    assert (await ask).status == 200
    assert (await client.get("/ready")).status == 200


async def test_a_pause_aborts_unless_told_otherwise(engine: Factory) -> None:
    client = await engine(*LONG)
    ask = background(client)
    await client.until_busy(1, 0)
    await client.post("/pause_generation", json={})
    await client.post("/continue_generation", json={})
    assert (await (await ask).json())["choices"][0]["finish_reason"] == "abort"


async def test_the_cache_is_flushed_on_an_idle_engine_only(engine: Factory) -> None:
    client = await engine(*LONG)
    assert (await client.post("/flush_cache")).status == 200
    ask = background(client)
    await client.until_busy(1, 0)
    assert (await client.post("/flush_cache")).status == 400
    ask.cancel()
