"""Failure suite: load beyond what the engines can take is refused as such, moves nothing, and is soon forgotten."""

from __future__ import annotations

from tests.router.envoy import Envoy, policy
from tests.router.fleet import Fleet, brisk
from tests.router.load import Load


async def test_overload_is_refused_and_its_end_is_felt_at_once() -> None:
    async with Fleet("--max-running-requests", "4", "--max-queued-requests", "2") as fleet:
        a, b, large = await fleet.engines("a", "b", "l")
        tiers = policy(fleet.tier("small", a, b), fleet.tier("large", large))
        async with Envoy(tiers, brisk) as envoy, envoy.session() as client:
            async with Load(client, 4, model="small") as fits:
                await fits.more(30)
                async with Load(client, 40, model="small") as too_much:
                    await too_much.more(150)
                await fits.more(30)
                calm = await fits.more(60)
            assert too_much.statuses.keys() == {200, 429}
            assert {outcome.tier for outcome in too_much.outcomes + fits.outcomes} == {"small"}
            assert {outcome.status for outcome in calm} == {200}
            ejections = await envoy.stats("ejections_enforced_total$")
            assert set(ejections.values()) == {0}


async def test_a_tier_that_dies_under_load_does_not_drown_the_next() -> None:
    """The next tier takes what fits into its capacity; the rest is told to come back."""
    async with Fleet() as fleet:
        a, large = await fleet.engines("a", "l")
        tiers = policy(fleet.tier("small", a), fleet.tier("large", large, max_requests=8))
        async with Envoy(tiers, brisk) as envoy, envoy.session() as client, Load(client, 40, model="small") as load:
            await load.more(60)
            await a.kill()
            await envoy.healthy("small", 0)
            after = await load.more(100, status=200)
            assert await large.running() <= 8
        assert load.statuses.keys() == {200, 429}
        assert {outcome.tier for outcome in after if outcome.status == 200} == {"large"}
