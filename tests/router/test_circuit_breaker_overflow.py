"""Fact 2: more requests than a router may send to a tier are refused at once, as overload."""

from __future__ import annotations

import asyncio

from tests.router.engine import Engine, slow
from tests.router.envoy import Envoy, chat, policy, tier


async def test_overflow_is_answered_429_with_retry_after_and_does_not_spill() -> None:
    async with Engine("s0", slow) as small, Engine("l0") as large:
        tiers = policy(tier("small", small, max_requests=1), tier("large", large))
        async with Envoy(tiers) as envoy, envoy.session() as client:
            held = asyncio.create_task(client.post("/v1/chat/completions", json=chat()))
            await small.waiting.wait()

            refused = await client.post("/v1/chat/completions", json=chat())
            assert refused.status == 429
            assert refused.headers["retry-after"] == "1"
            assert refused.content_type == "application/json"
            assert (await refused.json())["error"] == {
                "message": "All engines that may answer are busy. Please retry later.",
                "type": "rate_limit_error",
                "param": None,
                "code": "overloaded",
            }
            assert not large.requests

            small.release.set()
            assert (await held).status == 200
            assert (await client.post("/v1/chat/completions", json=chat())).status == 200
