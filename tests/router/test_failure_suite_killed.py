"""Failure suite: engines die under load, one or a whole tier, and no client sees it."""

from __future__ import annotations

import signal

from tests.router.envoy import Envoy, policy
from tests.router.fleet import Fleet, brisk
from tests.router.load import Load


async def test_an_engine_dies_and_comes_back() -> None:
    async with Fleet() as fleet:
        a, b, c, large = await fleet.engines("a", "b", "c", "l")
        tiers = policy(fleet.tier("small", a, b, c), fleet.tier("large", large))
        async with Envoy(tiers, brisk) as envoy, envoy.session() as client, Load(client, model="small") as load:
            await load.more(20, engine="a")
            a.send(signal.SIGKILL)
            during = await load.more(100)
            assert max(outcome.attempts for outcome in during) > 1, "requests must have been lost with the engine"
            await envoy.healthy("small", 2)
            after = await load.more(100)
            assert {outcome.attempts for outcome in after[-50:]} == {1}, (
                "a dead engine must not be tried again and again"
            )
            await a.start()
            await load.more(20, engine="a")
        assert load.statuses.keys() == {200}
        assert {outcome.tier for outcome in load.outcomes} == {"small"}


async def test_a_whole_tier_dies_and_comes_back() -> None:
    async with Fleet() as fleet:
        a, b, large = await fleet.engines("a", "b", "l")
        tiers = policy(fleet.tier("small", a, b), fleet.tier("large", large))
        async with Envoy(tiers, brisk) as envoy, envoy.session() as client, Load(client, model="small") as load:
            await load.more(50, tier="small")
            a.send(signal.SIGKILL)
            b.send(signal.SIGKILL)
            await load.more(100, tier="large")
            await envoy.healthy("small", 0)
            assert {outcome.attempts for outcome in (await load.more(50))[-25:]} == {1}
            await a.start()
            await load.more(50, tier="small")
        assert load.statuses.keys() == {200}


async def test_engines_that_die_again_and_again_cost_no_request() -> None:
    async with Fleet() as fleet:
        a, b, c, large = await fleet.engines("a", "b", "c", "l")
        tiers = policy(fleet.tier("small", a, b, c), fleet.tier("large", large))
        async with Envoy(tiers, brisk) as envoy, envoy.session() as client, Load(client, model="small") as load:
            for dying in (a, b, c):
                await load.more(30)
                dying.send(signal.SIGKILL)
                await dying.ended()
                await dying.start()
        assert load.statuses.keys() == {200}
