"""An engine that dies or fails costs no request that has not started to be answered."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from tests.router.engine import Answer, Engine, crash, error, slow
from tests.router.envoy import Envoy, chat, fast, policy, tier


@pytest.mark.parametrize("failure", [crash, error])
async def test_failed_requests_are_answered_by_another_engine_of_the_tier(failure: Answer) -> None:
    async with AsyncExitStack() as stack:
        engines = [await stack.enter_async_context(Engine(name)) for name in ("a", "b", "c")]
        engines[0].answer = failure
        envoy = await stack.enter_async_context(Envoy(policy(tier("small", *engines)), _without_ejection))
        client = await stack.enter_async_context(envoy.session())
        attempts = []
        for number in range(60):
            answer = await client.post("/v1/chat/completions", json=chat(f"question {number}"))
            assert answer.status == 200
            attempts.append(int(answer.headers["x-llm-attempts"]))
        assert engines[0].requests, "the failing engine must have been tried"
        assert max(attempts) == 2, "a retry must go to another engine"


async def test_all_requests_of_a_killed_engine_are_answered_by_others() -> None:
    async with AsyncExitStack() as stack:
        dying = await stack.enter_async_context(Engine("a", slow))
        other = await stack.enter_async_context(Engine("b"))
        envoy = await stack.enter_async_context(Envoy(policy(tier("small", dying), tier("large", other))))
        client = await stack.enter_async_context(envoy.session())
        held = [
            asyncio.create_task(client.post("/v1/chat/completions", json=chat(f"question {number}")))
            for number in range(50)
        ]
        await envoy.until(lambda: len(dying.requests) == len(held))
        await dying.kill()
        assert {answer.status for answer in await asyncio.gather(*held)} == {200}
        # And those that come while nothing has noticed yet: the connection is refused.
        assert (await client.post("/v1/chat/completions", json=chat())).status == 200


async def test_a_tier_without_engines_is_passed_over() -> None:
    async with AsyncExitStack() as stack:
        large = await stack.enter_async_context(Engine("l"))
        envoy = await stack.enter_async_context(Envoy(policy(tier("small"), tier("middle"), tier("large", large))))
        client = await stack.enter_async_context(envoy.session())
        for model in ("auto", "small", "middle", "large"):
            answer = await client.post("/v1/chat/completions", json=chat(model=model))
            assert (answer.status, answer.headers["x-llm-tier"]) == (200, "large")
            assert answer.headers["x-llm-attempts"] == "1"


async def test_the_failure_itself_is_passed_on_when_every_try_failed() -> None:
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(Engine("a", error))
        envoy = await stack.enter_async_context(Envoy(policy(tier("small", engine))))
        client = await stack.enter_async_context(envoy.session())
        answer = await client.post("/v1/chat/completions", json=chat())
        assert (answer.status, (await answer.json())["message"]) == (503, "CUDA error")
        assert answer.headers["x-llm-attempts"] == "4"
        assert len(engine.requests) == 4


async def test_the_last_tier_is_never_ejected_as_a_whole() -> None:
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(Engine("a", error))
        envoy = await stack.enter_async_context(Envoy(policy(tier("small", engine))))
        client = await stack.enter_async_context(envoy.session())
        for number in range(5):
            await client.post("/v1/chat/completions", json=chat())
            assert len(engine.requests) == 4 * (number + 1)


async def test_a_client_cannot_change_retries_or_time_limits() -> None:
    forged = {
        "x-envoy-upstream-rq-timeout-ms": "50",
        "x-envoy-upstream-rq-per-try-timeout-ms": "50",
        "x-envoy-max-retries": "0",
        "x-envoy-internal": "true",
    }
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(Engine("a", error))
        envoy = await stack.enter_async_context(Envoy(policy(tier("small", engine))))
        client = await stack.enter_async_context(envoy.session())
        await client.post("/v1/chat/completions", json=chat(), headers=forged)
        assert len(engine.requests) == 4

        engine.answer = slow
        held = asyncio.create_task(client.post("/v1/chat/completions", json=chat(), headers=forged))
        await engine.waiting.wait()
        # A check every 0.1 s: well beyond the forged limits.
        seen = engine.checks
        await envoy.until(lambda: engine.checks > seen + 3)
        engine.release.set()
        answer = await held
        assert (answer.status, answer.headers["x-llm-attempts"]) == (200, "1")


def _without_ejection(cluster: dict[str, object]) -> None:
    fast(cluster)
    cluster.pop("outlier_detection", None)
