"""Failure suite: engines that answer with errors, for a while or now and then."""

from __future__ import annotations

from tests.router.envoy import Envoy, policy
from tests.router.fleet import Fleet, brisk
from tests.router.load import Load


async def test_a_burst_of_errors_from_one_engine() -> None:
    async with Fleet() as fleet:
        a, b, c, large = await fleet.engines("a", "b", "c", "l")
        tiers = policy(fleet.tier("small", a, b, c), fleet.tier("large", large))
        async with Envoy(tiers, brisk) as envoy, envoy.session() as client, Load(client, model="small") as load:
            await load.more(20, engine="a")
            await a.faults(error_rate=1)
            during = await load.more(150)
            assert max(outcome.attempts for outcome in during) > 1
            assert {outcome.attempts for outcome in during[-30:]} == {1}, "the engine must have been ejected"
            await a.faults()
            await load.more(20, engine="a")
        assert load.statuses.keys() == {200}


async def test_a_burst_of_errors_from_the_whole_tier() -> None:
    async with Fleet() as fleet:
        a, b, large = await fleet.engines("a", "b", "l")
        tiers = policy(fleet.tier("small", a, b), fleet.tier("large", large))
        async with Envoy(tiers, brisk) as envoy, envoy.session() as client, Load(client, model="small") as load:
            await load.more(30)
            for engine in (a, b):
                await engine.faults(error_rate=1, error_status=503)
            await load.more(100, tier="large")
            for engine in (a, b):
                await engine.faults()
            await load.more(50, tier="small")
        assert load.statuses.keys() == {200}


async def test_errors_now_and_then_everywhere() -> None:
    """Too few in a row for an ejection: every one costs a retry, and the budget has room for them."""
    async with Fleet() as fleet:
        a, b, c, large = await fleet.engines("a", "b", "c", "l")
        tiers = policy(fleet.tier("small", a, b, c), fleet.tier("large", large))
        async with Envoy(tiers, brisk) as envoy, envoy.session() as client, Load(client, model="small") as load:
            for engine in (a, b, c):
                await engine.faults(error_rate=0.1, empty_rate=0.1)
            await load.more(500)
        assert load.statuses.keys() == {200}
        assert sum(outcome.attempts > 1 for outcome in load.outcomes) > 50
