"""A cluster that migrates counts each request once for the side that was to answer it; another counts none."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from heterollm_controllers.routing.ir import RoutingPolicy
from tests.router.agent import Agent
from tests.router.engine import Engine, error
from tests.router.envoy import Envoy, chat, policy, tier
from tests.router.test_metrics import Figures, figures, reaches, unchecked

LATE = 400
"""Milliseconds after which a first byte is late."""


async def late(engine: Engine, request: web.Request) -> web.StreamResponse:
    """A stream that begins late."""
    await asyncio.sleep(2 * LATE / 1000)
    return await soon(engine, request)


async def soon(engine: Engine, request: web.Request) -> web.StreamResponse:
    """A stream."""
    answer = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await answer.prepare(request)
    await answer.write(b'data: {"choices":[]}\n\ndata: [DONE]\n\n')
    return answer


async def mistaken(engine: Engine, request: web.Request) -> web.StreamResponse:
    """The client's own mistake, which is nobody's failure."""
    return web.json_response({"object": "error", "message": "too long", "code": 400}, status=400)


def sides(seen: Figures) -> dict[tuple[str, str], float]:
    """What was counted of requests for the small tier, by whether they were diverted and by how they ended."""
    return {
        (labels["diverted"], labels["outcome"]): value
        for name, labels, value in seen.samples()
        if name == "side_total" and labels["wanted_tier"] == "small"
    }


async def test_each_request_counts_for_the_side_that_was_to_answer_it() -> None:
    async with Engine("s0", soon) as small, Engine("l0", soon) as large:

        def at(percent: int) -> RoutingPolicy:
            return policy(tier("small", small, diverted_percent=percent), tier("large", large), slow_after_ms=LATE)

        async with (
            Envoy(at(0), unchecked) as envoy,
            Agent(envoy.policy_dir, admin=envoy.admin_url) as agent,
            envoy.session() as client,
        ):

            async def ask(**more: Any) -> int:
                async with client.post("/v1/chat/completions", json=chat(model="small", **more)) as answer:
                    await answer.read()
                    return answer.status

            for percent, word in ((0, "false"), (100, "true")):
                own, other = (small, large) if percent == 0 else (large, small)
                await envoy.publish(at(percent))
                own.answer = soon
                assert await ask(stream=True) == 200
                own.answer = late
                assert await ask(stream=True) == 200
                own.answer = error
                other.answer = soon
                assert await ask(stream=True) == 200, "the other tier answers"
                other.answer = error
                assert await ask(stream=True) >= 500
                own.answer = mistaken
                assert await ask() == 400
                seen = await reaches(agent, 2, "side_total", diverted=word, outcome="failed")
                found = {outcome: count for (side, outcome), count in sides(seen).items() if side == word}
                assert found == {"ok": 1, "slow": 1, "failed": 2}


async def test_an_answer_in_one_piece_tells_nothing_of_its_first_byte() -> None:
    async with Engine("s0") as small, Engine("l0") as large:
        tiers = policy(tier("small", small), tier("large", large), slow_after_ms=LATE)
        async with (
            Envoy(tiers, unchecked) as envoy,
            Agent(envoy.policy_dir, admin=envoy.admin_url) as agent,
            envoy.session() as client,
        ):
            assert (await client.post("/v1/chat/completions", json=chat(model="small"))).status == 200
            seen = await reaches(agent, 1, "side_total")
            assert sides(seen) == {("false", "whole"): 1}


async def test_where_nothing_migrates_no_side_is_counted() -> None:
    async with (
        Engine("s0") as small,
        Engine("l0") as large,
        Envoy(policy(tier("small", small), tier("large", large)), unchecked) as envoy,
        Agent(envoy.policy_dir, admin=envoy.admin_url) as agent,
        envoy.session() as client,
    ):
        assert (await client.post("/v1/chat/completions", json=chat(model="small"))).status == 200
        await reaches(agent, 1, "requests_total")
        assert sides(await figures(agent)) == {}
