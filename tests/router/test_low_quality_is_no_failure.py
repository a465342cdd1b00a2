"""An answer of low quality is an answer: its client gets one, its engine and its tier have not failed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from heterollm_controllers.routing.ir import Retries, RetryChange
from tests.router.engine import Answer, Engine, crash, error, ok, queue_full, slow
from tests.router.envoy import chat
from tests.router.replies import in_turn, says
from tests.router.test_metrics import Figures, figures, reaches
from tests.router.two_tiers import TwoTiers

EMPTY = says("")
_RETRIES = Retries(changes=(RetryChange(temperature=0.2), RetryChange(temperature=0.4), RetryChange(temperature=0.6)))


class Router(TwoTiers):
    """A router that retries answers of low quality."""

    async def ask(self) -> aiohttp.ClientResponse:
        """Ask the small tier."""
        return await self.post(chat(model="small"))

    async def figures(self) -> Figures:
        """The router's own."""
        return await figures(self.agent)


@pytest.fixture
async def router() -> AsyncIterator[Router]:
    async with Router(agent=True, retries=_RETRIES) as running:
        yield running


async def test_a_better_answer_of_another_tier_is_no_failure_of_the_first(router: Router) -> None:
    router.small.answer = EMPTY
    for _ in range(20):
        answer = await router.ask()
        assert (answer.status, answer.headers["x-llm-tier"]) == (200, "large")
    counted = await router.figures()
    place = {"wanted_tier": "small", "heterollm_tier": "large", "code": "200", "diverted": "false"}
    assert counted.of("requests_total", **place, low_quality="true") == 20
    assert counted.of("requests_total") == 20
    assert counted.of("bad_answers_total", heterollm_tier="small", reason="empty") == 40
    assert counted.of("bad_answers_total") == 40
    assert counted.of("failed_attempts_total") == 0
    ejections = await router.envoy.stats("ejections_(active|enforced_total)$")
    assert ejections
    assert set(ejections.values()) == {0}


async def test_a_tier_that_gives_no_answer_has_failed_whatever_the_next_one_says(router: Router) -> None:
    router.small.answer, router.large.answer = error, EMPTY
    answer = await router.ask()
    assert (answer.status, answer.headers["x-llm-quality"]) == (200, "empty")
    counted = await router.figures()
    assert counted.of("requests_total", wanted_tier="small", heterollm_tier="large", low_quality="false") == 1
    assert counted.of("bad_answers_total", heterollm_tier="large") == 2
    assert counted.of("failed_attempts_total", heterollm_tier="small") == 2


async def test_what_comes_after_it_is_not_slow(router: Router) -> None:
    """The first byte waits for both answers; of how fast the second tier is that says nothing."""
    await router.ask()
    router.small.answer = EMPTY
    await router.ask()
    counted = await reaches(router.agent, 2, "first_byte_milliseconds_count")
    for place, word in (("small", "false"), ("large", "true")):
        assert counted.of("first_byte_milliseconds_count", heterollm_tier=place, low_quality=word) == 1


async def bare(engine: Engine, request: web.Request) -> web.StreamResponse:
    """A failure without a word."""
    return web.Response(status=500)


async def refuses(engine: Engine, request: web.Request) -> web.StreamResponse:
    """Refuses what the retry has changed."""
    return web.json_response({"object": "error", "message": "temperature"}, status=400)


async def asks_for_patience(engine: Engine, request: web.Request) -> web.StreamResponse:
    """An error with headers of its own."""
    return web.json_response({}, status=429, headers={"retry-after": "9", "x-llm-error": "forged"})


@pytest.mark.parametrize("then", [error, bare, refuses, queue_full, crash, asks_for_patience])
async def test_a_client_gets_an_answer_and_not_the_error_of_its_retries(router: Router, then: Answer) -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}
    first = {"choices": [{"index": 0, "message": {"content": "\n"}, "finish_reason": "stop"}], "usage": usage}
    bodies = iter([first, {**first, "choices": []}])

    async def answer(engine: Engine, request: web.Request) -> web.StreamResponse:
        return web.json_response(next(bodies))

    router.small.answer, router.large.answer = answer, then
    got = await router.ask()
    assert (got.status, await got.json()) == (200, first), "the first is of the request as the client sent it"
    assert (got.headers["x-llm-tier"], got.headers["x-llm-quality"]) == ("small", "empty")
    assert got.content_type == "application/json"
    assert not {"retry-after", "x-llm-error", "x-envoy-overloaded", "x-envoy-ratelimited"} & {
        *map(str.lower, got.headers)
    }
    counted = await router.figures()
    place = {"wanted_tier": "small", "heterollm_tier": "small", "code": "200", "low_quality": "true"}
    assert counted.of("requests_total", **place) == counted.of("requests_total") == 1
    assert counted.of("rejected_total") == 0
    assert counted.of("tokens_total", heterollm_tier="small", kind="prompt") == 5
    # The next answer on the same connection is its own.
    router.small.answer = ok
    assert (await (await router.ask()).json())["model"] == "s0"


async def test_a_client_gets_an_answer_when_nobody_is_left_to_retry(router: Router) -> None:
    router.small.answer = EMPTY
    await router.large.kill()
    got = await router.ask()
    assert (got.status, got.headers["x-llm-tier"], got.headers["x-llm-quality"]) == (200, "small", "empty")


async def test_a_client_gets_an_answer_when_the_next_tier_is_full(router: Router) -> None:
    await router.envoy.publish(router.policy(large={"max_requests": 1}))
    router.small.answer, router.large.answer = EMPTY, slow
    held = asyncio.create_task(router.client.post("/v1/chat/completions", json=chat(model="large")))
    await router.large.waiting.wait()
    got = await router.ask()
    router.large.release.set()
    assert (await held).status == 200
    assert (got.status, got.headers["x-llm-tier"], got.headers["x-llm-quality"]) == (200, "small", "empty")


async def test_its_retries_take_nothing_from_those_of_failures(router: Router) -> None:
    """A hundred of each kind are saved up."""
    await router.envoy.publish(router.policy(retries=Retries(budget_percent=0)))
    router.small.answer = router.large.answer = EMPTY
    attempts = [int((await router.ask()).headers["x-llm-attempts"]) for _ in range(60)]
    assert attempts[:25] == [4] * 25
    assert attempts[-1] < 4
    router.small.answer = router.large.answer = in_turn(error, error, ok)
    answer = await router.ask()
    assert (answer.status, answer.headers["x-llm-attempts"]) == (200, "3")
