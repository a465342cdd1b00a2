"""A request that fails wherever it is sent: it harms neither the engines nor the requests of others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

import aiohttp
import pytest
from aiohttp import web

from tests.router.engine import Answer, Engine, crash, ok
from tests.router.envoy import Envoy, chat, policy, tier

SECONDS = 4.0
"""Long enough for forty such requests at the lower rate."""


async def exception(engine: Engine, request: web.Request) -> web.StreamResponse:
    """What SGLang answers when a request meets an exception that nobody foresaw."""
    return web.json_response({"object": "error", "message": "'NoneType' object", "code": 500}, status=500)


def poisoned(then: Answer) -> Answer:
    """Fails what is poisonous in this way; all else is well."""

    async def answer(engine: Engine, request: web.Request) -> web.StreamResponse:
        return await (then if "poison" in await request.text() else ok)(engine, request)

    return answer


class _Small(NamedTuple):
    engines: list[Engine]
    large: Engine
    routers: list[Envoy]
    clients: list[aiohttp.ClientSession]

    async def ejections(self) -> int:
        """Engines of the tier that any router has ejected so far."""
        found = [
            await router.stats("^cluster.tier_small.outlier_detection.ejections_enforced_total$")
            for router in self.routers
        ]
        return sum(sum(stats.values()) for stats in found)


@asynccontextmanager
async def _cluster(count: int, answer: Answer, large: Answer = ok, routers: int = 1) -> AsyncIterator[_Small]:
    async with AsyncExitStack() as stack:
        engines = [await stack.enter_async_context(Engine(f"s{number}", answer)) for number in range(count)]
        last = await stack.enter_async_context(Engine("l0", large))
        tiers = policy(tier("small", *engines), tier("large", last))
        started = [await stack.enter_async_context(Envoy(tiers)) for _ in range(routers)]
        clients = [await stack.enter_async_context(router.session()) for router in started]
        yield _Small(engines, last, started, clients)


async def _post(client: aiohttp.ClientSession, text: str, **headers: str) -> aiohttp.ClientResponse:
    async with client.post("/v1/chat/completions", json=chat(text, model="small"), headers=headers) as answer:
        await answer.read()
        return answer


async def _steadily(clients: list[aiohttp.ClientSession], rate: float, text: str) -> list[aiohttp.ClientResponse]:
    """Requests at this rate, whatever becomes of those before; `{}` in the text is the request's number."""
    asked = []
    for number in range(round(SECONDS * rate)):
        asked.append(asyncio.create_task(_post(clients[number % len(clients)], text.replace("{}", str(number)))))
        # A rate is time: nothing else could be waited for.
        await asyncio.sleep(1 / rate)
    return list(await asyncio.gather(*asked))


@pytest.mark.parametrize("text", ["poison", "poison {}"])
@pytest.mark.parametrize("large", [ok, poisoned(exception)])
@pytest.mark.parametrize(("engines", "rate", "routers"), [(4, 10, 1), (4, 50, 1), (4, 50, 2), (2, 10, 1), (1, 10, 1)])
async def test_one_client_ejects_no_engine(text: str, large: Answer, engines: int, rate: int, routers: int) -> None:
    async with _cluster(engines, poisoned(exception), large, routers) as small:
        bad, good, always = await asyncio.gather(
            _steadily(small.clients, rate, text),
            _steadily(small.clients, 2, "question {}"),
            _steadily(small.clients, 2, "the same question"),
        )
        assert {(answer.status, answer.headers["x-llm-tier"]) for answer in good + always} == {(200, "small")}
        assert {answer.headers["x-llm-attempts"] for answer in good + always} == {"1"}
        assert {answer.status for answer in bad} == ({200} if large is ok else {500})
        assert await small.ejections() == 0


@pytest.mark.parametrize("rate", [10, 50])
async def test_requests_that_lose_engines_do_not_eject_them_all(rate: int) -> None:
    """Each loses two of those that serve the good ones, and these go elsewhere."""
    async with _cluster(4, poisoned(crash)) as small:
        bad, good = await asyncio.gather(
            _steadily(small.clients, rate, "poison {}"), _steadily(small.clients, 2, "question {}")
        )
        assert {(answer.status, answer.headers["x-llm-tier"]) for answer in good} == {(200, "small")}
        assert {answer.status for answer in bad} == {502}
        assert sum("poison" in str(asked) for engine in small.engines for asked in engine.requests) == 2 * len(bad)
        assert not small.large.requests


async def test_an_exception_on_two_engines_is_the_answer() -> None:
    async with AsyncExitStack() as stack:
        engines = [await stack.enter_async_context(Engine(name, exception)) for name in "abcd"]
        envoy = await stack.enter_async_context(Envoy(policy(tier("small", *engines))))
        client = await stack.enter_async_context(envoy.session())
        answer = await client.post("/v1/chat/completions", json=chat())
        assert (answer.status, await answer.json()) == (
            500,
            {"object": "error", "message": "'NoneType' object", "code": 500},
        )
        assert answer.headers["x-llm-attempts"] == "2"
        # OpenAI's clients would try it twice more.
        assert answer.headers["x-should-retry"] == "false"
        assert sorted(len(engine.requests) for engine in engines) == [0, 0, 1, 1]


async def test_another_tier_may_know_better_and_is_asked_once() -> None:
    async with _cluster(4, exception, exception) as small:
        answer = await _post(small.clients[0], "hello")
        assert (answer.status, answer.headers["x-llm-attempts"]) == (500, "3")
        assert sorted(len(engine.requests) for engine in small.engines) == [0, 0, 1, 1]
        assert len(small.large.requests) == 1
        small.large.answer = ok
        answer = await _post(small.clients[0], "hello")
        assert (answer.status, answer.headers["x-llm-tier"], answer.headers["x-llm-attempts"]) == (200, "large", "3")
        assert "x-should-retry" not in answer.headers


@pytest.mark.parametrize("engines", [1, 2, 4])
async def test_two_lost_engines_are_enough(engines: int) -> None:
    async with _cluster(engines, crash) as small:
        for number in range(5):
            answer = await small.clients[0].post("/v1/chat/completions", json=chat(f"hello {number}", model="small"))
            assert answer.status == 502
            error = (await answer.json())["error"]
            assert (error["code"], error["type"]) == ("engines_lost", "server_error")
            assert answer.headers["x-llm-attempts"] == "2"
            assert answer.headers["x-should-retry"] == "false"
            assert sum(len(engine.requests) for engine in small.engines) == 2 * (number + 1)
        assert not small.large.requests


async def test_a_lost_engine_and_an_exception_are_two_failures() -> None:
    async with _cluster(2, crash, exception) as small:
        small.engines[0].answer = exception
        for number in range(10):
            answer = await _post(small.clients[0], f"hello {number}")
            assert (answer.status, answer.headers["x-llm-attempts"]) == (500, "3")
        assert len(small.large.requests) == 10


async def test_requests_are_told_apart_whatever_name_clients_give_them() -> None:
    async with _cluster(2, ok) as small:
        small.engines[0].answer = crash
        for number in range(20):
            answer = await _post(small.clients[0], f"hello {number}", **{"x-request-id": "always-the-same"})
            assert (answer.status, answer.headers["x-llm-tier"]) == (200, "small")
        assert len(small.engines[0].requests) > 1


@pytest.mark.parametrize("size", [10, 5_000_000])
async def test_a_request_that_lost_its_engine_is_sent_to_another_as_it_was(size: int) -> None:
    async with _cluster(2, ok) as small:
        small.engines[0].answer = small.engines[1].answer = crash
        task = asyncio.create_task(_post(small.clients[0], "x" * size))
        await small.routers[0].until(lambda: any(engine.requests for engine in small.engines))
        for engine in small.engines:
            if not engine.requests:
                engine.answer = ok
        answer = await task
        assert (answer.status, answer.headers["x-llm-tier"], answer.headers["x-llm-attempts"]) == (200, "small", "2")
        first, second = (engine.requests for engine in small.engines)
        assert first == second == [chat("x" * size, model="small")]


@pytest.mark.parametrize("status", [400, 413, 422, 501, 505, 507])
async def test_answers_about_the_request_are_final_and_nobodys_failure(status: int) -> None:
    async def refused(engine: Engine, request: web.Request) -> web.StreamResponse:
        return web.json_response({"message": "no"}, status=status)

    async with _cluster(2, refused) as small:
        for number in range(20):
            answer = await _post(small.clients[0], f"hello {number}")
            assert (answer.status, answer.headers["x-llm-attempts"]) == (status, "1")
        assert await small.ejections() == 0


@pytest.mark.parametrize(("engines", "seconds"), [(2, 0.0), (4, 0.0), (4, 4.0)])
async def test_an_engine_that_fails_everything_is_left_out_soon(engines: int, seconds: float) -> None:
    """Also while the others are still at their first answers."""

    async def takes_time(engine: Engine, request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await ok(engine, request)

    async with _cluster(engines, takes_time) as small:
        small.engines[1].answer = exception
        answers = await _steadily(small.clients, 40, "question {}")
        assert {(answer.status, answer.headers["x-llm-tier"]) for answer in answers} == {(200, "small")}
        assert await small.ejections() == 1
        assert len(small.engines[1].requests) < (60 if seconds else 12)


async def test_a_tier_that_fails_everything_is_made_up_for_by_the_next() -> None:
    """However long the next one takes to answer, and never more than half of the tier is left out."""

    async def takes_time(engine: Engine, request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(4)
        return await ok(engine, request)

    async with _cluster(4, exception, takes_time) as small:
        answers = await _steadily(small.clients, 60, "question {}")
        assert {(answer.status, answer.headers["x-llm-tier"]) for answer in answers} == {(200, "large")}
        assert await small.ejections() <= 2


async def test_faulty_requests_are_told_from_a_faulty_tier() -> None:
    async with _cluster(4, poisoned(exception)) as small:
        for number in range(30):
            await _post(small.clients[0], f"poison {number}")
        assert await _faulty(small) == 0, "until then, it may be the tier"
        await _post(small.clients[0], "hello")
        assert await _faulty(small) == 30
        for engine in small.engines:
            engine.answer = exception
        for number in range(10):
            await _post(small.clients[0], f"hello {number}")
        assert await _faulty(small) == 30


async def _faulty(small: _Small) -> int:
    return sum((await small.routers[0].stats("heterollm_router.faulty_requests_total.heterollm_tier.small")).values())
