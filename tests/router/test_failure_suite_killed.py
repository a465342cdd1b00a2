"""Failure suite: engines die under load, one or a whole tier, and no client sees it."""

from __future__ import annotations

import signal

from tests.router.scene import under_load


async def test_an_engine_dies_and_comes_back() -> None:
    async with under_load("a", "b", "c") as scene:
        a, *_ = scene.small
        await scene.load.more(20, engine="a")
        a.send(signal.SIGKILL)
        during = await scene.load.more(100)
        assert max(outcome.attempts for outcome in during) > 1, "requests must have been lost with the engine"
        await scene.envoy.healthy("small", 2)
        after = await scene.load.more(100)
        assert {outcome.attempts for outcome in after[-50:]} == {1}, "a dead engine must not be tried again and again"
        await a.start()
        await scene.load.more(20, engine="a")
    assert scene.load.statuses.keys() == {200}
    assert {outcome.tier for outcome in scene.load.outcomes} == {"small"}


async def test_a_whole_tier_dies_and_comes_back() -> None:
    async with under_load("a", "b") as scene:
        a, b = scene.small
        await scene.load.more(50, tier="small")
        a.send(signal.SIGKILL)
        b.send(signal.SIGKILL)
        await scene.load.more(100, tier="large")
        await scene.envoy.healthy("small", 0)
        assert {outcome.attempts for outcome in (await scene.load.more(50))[-25:]} == {1}
        await a.start()
        await scene.load.more(50, tier="small")
    assert scene.load.statuses.keys() == {200}


async def test_engines_that_die_again_and_again_cost_no_request() -> None:
    async with under_load("a", "b", "c") as scene:
        for dying in scene.small:
            await scene.load.more(30)
            dying.send(signal.SIGKILL)
            await dying.ended()
            await dying.start()
    assert scene.load.statuses.keys() == {200}
