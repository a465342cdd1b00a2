"""Failure suite: engines come and go on purpose, and so do policies."""

from __future__ import annotations

import asyncio
import signal

from heterollm_controllers.routing.ir import Retries, RetryChange, RoutingPolicy
from tests.router.envoy import Envoy, policy
from tests.router.fleet import Fleet, SimulatedEngine, brisk
from tests.router.load import Load


async def test_a_rolling_replacement_of_every_engine() -> None:
    async with Fleet() as fleet:
        serving = await fleet.engines("a", "b")
        (large,) = await fleet.engines("l")

        def tiers() -> RoutingPolicy:
            return policy(fleet.tier("small", *serving), fleet.tier("large", large))

        async with Envoy(tiers(), brisk) as envoy, envoy.session() as client, Load(client, model="small") as load:
            for old in list(serving):
                serving += await fleet.engines(f"{old.pod}2")
                await envoy.publish(tiers())
                await load.more(10, engine=f"{old.pod}2")
                serving.remove(old)
                await _let_go(envoy, tiers(), old)
        assert load.statuses.keys() == {200}
        assert {outcome.attempts for outcome in load.outcomes} == {1}
        assert {outcome.tier for outcome in load.outcomes} == {"small"}


async def test_an_engine_scaled_away_finishes_long_answers() -> None:
    async with Fleet("--sim-tpot-ms", "20", "--sim-output-tokens", "60") as fleet:
        a, b = await fleet.engines("a", "b")
        before, after = policy(fleet.tier("small", a, b)), policy(fleet.tier("small", b))
        async with Envoy(before, brisk) as envoy, envoy.session() as client, Load(client, 24) as load:
            await load.more(5, engine="a")
            assert await a.running() > 0
            await _let_go(envoy, after, a)
            await load.more(10)
        assert load.statuses.keys() == {200}
        assert {outcome.attempts for outcome in load.outcomes} == {1}


async def test_policies_are_rewritten_all_the_time() -> None:
    async with Fleet() as fleet:
        a, b, large = await fleet.engines("a", "b", "l")
        changes = (RetryChange(temperature=0.0), RetryChange(max_tokens_factor=0.5))
        policies = [
            policy(fleet.tier("small", a, b), fleet.tier("large", large)),
            policy(fleet.tier("small", a), fleet.tier("large", large), retries=Retries(1, changes=changes)),
            policy(fleet.tier("small", a, b, diverted_percent=50), fleet.tier("large", large)),
            policy(fleet.tier("small", b, diverted_percent=100), fleet.tier("large", large), routers=3),
            policy(fleet.tier("small"), fleet.tier("large", large, max_requests=64)),
        ]
        async with Envoy(policies[0], brisk) as envoy, envoy.session() as client, Load(client, model="small") as load:
            for changed in policies * 5:
                await envoy.publish(changed)
                await load.more(10)
        assert load.statuses.keys() == {200}


async def _let_go(envoy: Envoy, without: RoutingPolicy, engine: SimulatedEngine) -> None:
    """Un-route, then end: as a deleted pod is, whose preStop hook outlasts the un-routing."""
    await envoy.publish(without)
    engine.send(signal.SIGTERM)
    async with asyncio.timeout(10):
        assert await engine.ended() == 0
