"""Failure suite: engines that stand still with open connections, and engines that are merely slow."""

from __future__ import annotations

import signal

from tests.router.envoy import Envoy, policy
from tests.router.fleet import Fleet, brisk
from tests.router.load import Load
from tests.router.scene import under_load


async def test_a_hanging_engine_holds_only_what_it_had_and_its_restart_frees_that() -> None:
    async with under_load("a", "b", clients=24) as scene:
        a, *_ = scene.small
        await scene.load.more(20, engine="a")
        a.send(signal.SIGSTOP)
        await scene.envoy.healthy("small", 1)
        # Clients that are not waiting for the hanging engine are served as ever.
        after = await scene.load.more(50, engine="b")
        assert {outcome.attempts for outcome in after} == {1}
        # As the kubelet does when the liveness probe has failed.
        a.send(signal.SIGKILL)
    assert scene.load.statuses.keys() == {200}
    assert max(outcome.attempts for outcome in scene.load.outcomes) == 2, "what hung must have been answered by another"


async def test_an_engine_that_goes_on_after_a_pause_answers_what_it_had() -> None:
    async with Fleet() as fleet:
        a, b = await fleet.engines("a", "b")
        async with (
            Envoy(policy(fleet.tier("small", a, b)), brisk) as envoy,
            envoy.session() as client,
            Load(client, 24) as load,
        ):
            await load.more(20, engine="a")
            a.send(signal.SIGSTOP)
            await envoy.healthy("small", 1)
            a.send(signal.SIGCONT)
            await envoy.healthy("small", 2)
            await load.more(20, engine="a")
        assert load.statuses.keys() == {200}


async def test_a_slow_engine_is_kept_and_gets_less() -> None:
    async with under_load("a", "b", "c", clients=24) as scene:
        a, *_ = scene.small
        await a.faults(latency_factor=8)
        slowed = await scene.load.more(200)
        share = sum(outcome.engine == "a" for outcome in slowed) / len(slowed)
        # Alone its prefixes would keep all clients waiting for it; with bounded scene.load the others take over.
        assert 0.02 < share < 0.25
        ejections = await scene.envoy.stats("tier_small.outlier_detection.ejections_enforced_total")
        assert set(ejections.values()) == {0}
    assert scene.load.statuses.keys() == {200}
    assert {outcome.attempts for outcome in scene.load.outcomes} == {1}
