"""Fact 4: an engine that hangs gets nothing more, and what it holds is retried; one that is merely slow is left alone.

Failed checks close no HTTP connection (`close_connections_on_host_health_failure` is for TCP proxying), so the attempt
itself ends with the engine's restart or by the idle limit.
"""

from __future__ import annotations

import asyncio

from tests.router.engine import Engine, hang, ok, slow
from tests.router.envoy import Envoy, chat, impatient, policy, tier
from tests.router.two_tiers import TwoTiers


async def test_new_requests_avoid_a_hanging_engine_and_its_restart_frees_the_others() -> None:
    async with TwoTiers(hang, change=impatient) as router, asyncio.timeout(10):
        held = asyncio.create_task(router.post())
        await router.envoy.healthy("small", 0)
        answer = await router.post()
        assert (answer.headers["x-llm-tier"], answer.headers["x-llm-attempts"]) == ("large", "1")
        assert not held.done()

        await router.small.kill()
        answer = await held
        assert (answer.status, answer.headers["x-llm-tier"]) == (200, "large")


async def test_an_attempt_without_a_byte_ends_by_the_idle_limit_and_is_retried() -> None:
    async with TwoTiers(hang, attempt_idle_limit=0.5) as router, asyncio.timeout(10):
        answer = await router.post()
        assert (answer.status, answer.headers["x-llm-tier"]) == (200, "large")
        assert int(answer.headers["x-llm-attempts"]) > 1


async def test_a_running_answer_survives_failed_checks() -> None:
    """As while an engine drains: its /ready says no, and it finishes what it has."""
    async with (
        Engine("s0", slow) as small,
        Engine("s1") as other,
        Envoy(policy(tier("small", small)), impatient) as envoy,
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
    async with TwoTiers(slow, change=impatient) as router:
        held = asyncio.create_task(router.post())
        await router.small.waiting.wait()
        # Longer than it takes to give up on an engine that hangs: three failed checks.
        seen = router.small.checks
        await router.envoy.until(lambda: router.small.checks > seen + 12)
        router.small.release.set()
        answer = await held
        assert (answer.status, answer.headers["x-llm-tier"]) == (200, "small")
        assert len(router.small.requests) == 1


async def test_an_engine_that_recovers_serves_again() -> None:
    async with TwoTiers() as router:
        router.small.ready.clear()
        await router.envoy.healthy("small", 0)
        assert (await router.post()).headers["x-llm-tier"] == "large"
        router.small.ready.set()
        router.small.answer = ok
        await router.envoy.healthy("small", 1)
        assert (await router.post()).headers["x-llm-tier"] == "small"
