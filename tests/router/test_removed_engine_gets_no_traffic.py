"""Fact 3: an engine taken out of the policy gets nothing more, though it still passes checks; what it runs ends."""

from __future__ import annotations

import asyncio

from tests.router.engine import Engine, slow
from tests.router.envoy import Envoy, chat, policy, tier


async def test_a_removed_engine_finishes_its_work_and_gets_no_more() -> None:
    async with (
        Engine("s0", slow) as leaving,
        Engine("s1") as staying,
        Envoy(policy(tier("small", leaving))) as envoy,
        envoy.session() as client,
    ):
        held = asyncio.create_task(client.post("/v1/chat/completions", json=chat()))
        await leaving.waiting.wait()

        await envoy.publish(policy(tier("small", staying)))
        for number in range(40):
            answer = await client.post("/v1/chat/completions", json=chat(f"question {number}"))
            assert (await answer.json())["model"] == "s1"
        assert len(leaving.requests) == 1

        leaving.release.set()
        assert (await (await held).json())["model"] == "s0"
