"""Failure suite: engines that answer with errors, for a while or now and then."""

from __future__ import annotations

from tests.router.scene import under_load


async def test_a_burst_of_errors_from_one_engine() -> None:
    async with under_load("a", "b", "c") as scene:
        a, *_ = scene.small
        await scene.load.more(20, engine="a")
        await a.faults(error_rate=1)
        during = await scene.load.more(150)
        assert max(outcome.attempts for outcome in during) > 1
        ejections = await scene.envoy.stats("^cluster.tier_small.outlier_detection.ejections_enforced_total$")
        assert sum(ejections.values()) > 0
        await a.faults()
        await scene.load.more(20, engine="a")
    assert scene.load.statuses.keys() == {200}


async def test_a_burst_of_errors_from_the_whole_tier() -> None:
    async with under_load("a", "b") as scene:
        await scene.load.more(30)
        for engine in scene.small:
            await engine.faults(error_rate=1, error_status=503)
        await scene.load.more(100, tier="large")
        for engine in scene.small:
            await engine.faults()
        await scene.load.more(50, tier="small")
    assert scene.load.statuses.keys() == {200}


async def test_errors_now_and_then_everywhere() -> None:
    """Too few in a row for an ejection: every one costs a retry, and the budget has room for them."""
    async with under_load("a", "b", "c") as scene:
        for engine in scene.small:
            await engine.faults(error_rate=0.1, empty_rate=0.1)
        await scene.load.more(500)
    assert scene.load.statuses.keys() == {200}
    assert sum(outcome.attempts > 1 for outcome in scene.load.outcomes) > 50
