"""Fact 4: an engine that hangs gets nothing more, and what it holds is retried; one that is merely slow is left alone.

Failed checks close no HTTP connection (`close_connections_on_host_health_failure` is for TCP proxying), so the attempt
itself ends with the engine's restart or by the idle limit.
"""

from __future__ import annotations

import asyncio

from tests.router.engine import Engine, hang, ok, slow
from tests.router.envoy import Envoy, chat, policy, tier


async def test_new_requests_avoid_a_hanging_engine_and_its_restart_frees_the_others() -> None:
    async with Engine("s0", hang) as small, Engine("l0") as large:
        tiers = policy(tier("small", small), tier("large", large))
        async with Envoy(tiers) as envoy, envoy.session() as client, asyncio.timeout(10):
            held = asyncio.create_task(client.post("/v1/chat/completions", json=chat()))
            await envoy.healthy("small", 0)
            answer = await client.post("/v1/chat/completions", json=chat())
            assert (answer.headers["x-llm-tier"], answer.headers["x-llm-attempts"]) == ("large", "1")
            assert not held.done()

            await small.kill()
            answer = await held
            assert (answer.status, answer.headers["x-llm-tier"]) == (200, "large")


async def test_an_attempt_without_a_byte_ends_by_the_idle_limit_and_is_retried() -> None:
    async with Engine("s0", hang) as small, Engine("l0") as large:
        tiers = policy(tier("small", small), tier("large", large), attempt_idle_limit=0.5)
        async with Envoy(tiers) as envoy, envoy.session() as client, asyncio.timeout(10):
            answer = await client.post("/v1/chat/completions", json=chat())
            assert (answer.status, answer.headers["x-llm-tier"]) == (200, "large")
            assert int(answer.headers["x-llm-attempts"]) > 1


async def test_a_running_answer_survives_failed_checks() -> None:
    """As while an engine drains: its /ready says no, and it finishes what it has."""
    async with (
        Engine("s0", slow) as small,
        Engine("s1") as other,
        Envoy(policy(tier("small", small))) as envoy,
        envoy.session() as client,
    ):
        held = asyncio.create_task(client.post("/v1/chat/completions", json=chat()))
        await small.waiting.wait()
        small.ready.clear()
        await envoy.healthy("small", 0)
        await envoy.publish(policy(tier("small", other)))
        small.release.set()
        assert (await (await held).json())["model"] == "s0"


async def test_a_slow_engine_that_passes_its_checks_is_left_alone() -> None:
    async with Engine("s0", slow) as small, Engine("l0") as large:
        tiers = policy(tier("small", small), tier("large", large))
        async with Envoy(tiers) as envoy, envoy.session() as client:
            held = asyncio.create_task(client.post("/v1/chat/completions", json=chat()))
            await small.waiting.wait()
            # Longer than it takes to give up on an engine that hangs: three failed checks.
            seen = small.checks
            await envoy.until(lambda: small.checks > seen + 12)
            small.release.set()
            answer = await held
            assert (answer.status, answer.headers["x-llm-tier"]) == (200, "small")
            assert len(small.requests) == 1


async def test_an_engine_that_recovers_serves_again() -> None:
    async with Engine("s0") as small, Engine("l0") as large:
        tiers = policy(tier("small", small), tier("large", large))
        async with Envoy(tiers) as envoy, envoy.session() as client:
            small.ready.clear()
            await envoy.healthy("small", 0)
            assert (await client.post("/v1/chat/completions", json=chat())).headers["x-llm-tier"] == "large"
            small.ready.set()
            small.answer = ok
            await envoy.healthy("small", 1)
            assert (await client.post("/v1/chat/completions", json=chat())).headers["x-llm-tier"] == "small"
