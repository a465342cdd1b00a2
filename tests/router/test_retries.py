"""How often a request is tried: the policy's limit, the client's, a deadline, and a budget for all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple

import aiohttp
import pytest
from aiohttp import web

from heterollm_controllers.routing.ir import Retries
from tests.router.engine import Answer, Engine, crash, error, ok
from tests.router.envoy import Envoy, chat, policy, tier


async def test_the_policy_limits_the_retries() -> None:
    async with Engine("s0", error) as engine, Envoy(policy(tier("small", engine))) as envoy, envoy.session() as client:
        for limit in (0, 1, 2, 3, 0):
            await envoy.publish(policy(tier("small", engine), retries=Retries(limit)))
            engine.requests.clear()
            answer = await client.post("/v1/chat/completions", json=chat())
            assert (answer.status, answer.headers["x-llm-attempts"]) == (503, str(limit + 1))
            assert len(engine.requests) == limit + 1


@pytest.mark.parametrize(
    ("asked", "attempts"),
    [("0", 1), ("1", 2), ("2", 3), ("3", 3), ("9", 3), ("10", 3), ("-1", 3), ("", 3), ("0.5", 3), ("none", 3)],
)
async def test_a_client_may_lower_the_limit_and_never_raise_it(asked: str, attempts: int) -> None:
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(Engine("s0", error))
        envoy = await stack.enter_async_context(Envoy(policy(tier("small", engine), retries=Retries(2))))
        client = await stack.enter_async_context(envoy.session())
        answer = await client.post("/v1/chat/completions", json=chat(), headers={"x-llm-retries": asked})
        assert (answer.headers["x-llm-attempts"], len(engine.requests)) == (str(attempts), attempts)


async def test_engines_see_nothing_of_retries_but_what_the_client_sent() -> None:
    async with Engine("s0") as engine, Envoy(policy(tier("small", engine))) as envoy, envoy.session() as client:
        for headers in ({}, {"x-llm-retries": "1"}, {"x-envoy-attempt-count": "7", "x-envoy-max-retries": "7"}):
            await client.post("/v1/chat/completions", json=chat(), headers=headers)
            ours = {"x-llm-retries", "x-envoy-max-retries", "x-envoy-attempt-count"}
            assert engine.headers[-1].keys() & ours == headers.keys() & {"x-llm-retries"}


async def test_an_answer_that_fails_after_the_deadline_is_final() -> None:
    async with _routed(_after(0.4, error), deadline=0.2) as router:
        answer = await router.post()
        assert (answer.status, (await answer.json())["message"]) == (503, "CUDA error")
        assert answer.headers["x-llm-attempts"] == "1"
        assert "x-envoy-ratelimited" not in answer.headers


async def test_no_attempt_is_started_after_the_deadline() -> None:
    async with _routed(_after(0.4, crash), deadline=0.2) as router:
        answer = await router.post()
        assert answer.status == 504
        assert (await answer.json())["error"]["type"] == "server_error"
        assert len(router.engine.requests) == 1


async def test_an_attempt_that_began_in_time_may_take_its_time() -> None:
    async with _routed(_after(0.6, ok), deadline=0.2) as router:
        assert (await router.post()).status == 200


async def test_retries_end_when_most_answers_fail_and_come_back_with_good_ones() -> None:
    """An outage must not meet four times the load: first the savings go, then a few retries a second remain."""
    async with _routed(error, budget_percent=50) as router:
        begin = time.monotonic()
        attempts = [await router.attempts() for _ in range(100)]
        allowed = 100 + 3 * (time.monotonic() - begin)
        assert attempts[:30] == [4] * 30
        assert sum(attempts) - len(attempts) <= allowed + 1
        assert sum(attempts[-20:]) < 40

        router.engine.answer = ok
        for _ in range(40):
            await router.post()
        router.engine.answer = error
        begin = time.monotonic()
        again = sum([await router.attempts() - 1 for _ in range(15)])
        assert 20 <= again <= 24 + 3 * (time.monotonic() - begin)


async def test_a_budget_of_nothing_leaves_a_few_retries_per_second() -> None:
    async with _routed(error, budget_percent=0) as router:
        for _ in range(60):
            await router.post()
        router.engine.requests.clear()
        begin = time.monotonic()
        for _ in range(60):
            await router.post()
        assert len(router.engine.requests) - 60 <= 4 + 3 * (time.monotonic() - begin)


async def test_what_a_dead_engine_held_is_always_tried_again() -> None:
    """Its load has gone with it: the budget is for answers."""
    async with AsyncExitStack() as stack:
        dying = await stack.enter_async_context(Engine("a", _after(60, ok)))
        large = await stack.enter_async_context(Engine("l"))
        tiers = policy(tier("small", dying), tier("large", large), retries=Retries(budget_percent=0))
        envoy = await stack.enter_async_context(Envoy(tiers))
        client = await stack.enter_async_context(envoy.session())
        held = [asyncio.create_task(client.post("/v1/chat/completions", json=chat())) for _ in range(90)]
        await envoy.until(lambda: len(dying.requests) == len(held))
        await dying.kill()
        assert {answer.status for answer in await asyncio.gather(*held)} == {200}


async def test_a_third_tier_is_reached_when_the_others_have_no_engine() -> None:
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(Engine("l"))
        tiers = policy(tier("small"), tier("middle"), tier("large", engine), retries=Retries(0))
        envoy = await stack.enter_async_context(Envoy(tiers))
        client = await stack.enter_async_context(envoy.session())
        answer = await client.post("/v1/chat/completions", json=chat())
        assert (answer.status, answer.headers["x-llm-tier"]) == (200, "large")


class _Router(NamedTuple):
    client: aiohttp.ClientSession
    engine: Engine

    async def post(self) -> aiohttp.ClientResponse:
        return await self.client.post("/v1/chat/completions", json=chat())

    async def attempts(self) -> int:
        """How many attempts one more request takes."""
        return int((await self.post()).headers["x-llm-attempts"])


@asynccontextmanager
async def _routed(answer: Answer, **retries: Any) -> AsyncIterator[_Router]:
    async with Engine("s0", answer) as engine:
        first = policy(tier("small", engine), retries=Retries(**retries))
        async with Envoy(first) as envoy, envoy.session() as client:
            yield _Router(client, engine)


def _after(seconds: float, then: Answer) -> Answer:
    async def answer(engine: Engine, request: web.Request) -> web.StreamResponse:
        # Less cannot be waited for: what is measured is how long the router thinks it took.
        await asyncio.sleep(seconds)
        return await then(engine, request)

    return answer
