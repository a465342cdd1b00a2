"""Engines that crash, lose a rank or find no node, in a cluster around them."""

from __future__ import annotations

import pytest

from heterollm_controllers.engines.gang_restart import KILL_GRACE_SECONDS
from tests.core.builders import api_tier
from tests.core.world import Crash, World, settled

GANG = api_tier(engine={"gpus": 16})
TWO_GANGS = api_tier(engine={"gpus": 16}, replicas={"min": 2})


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("how", ["container ends", "pod is deleted"])
def test_whole_engine_is_restarted_once(how: str, rank: int) -> None:
    world = settled(TWO_GANGS)
    before = world.uids()
    if how == "container ends":
        world.controllers.crash(f"demo-small-0-{rank}")
    else:
        world.server.delete("Pod", f"demo-small-0-{rank}")
    world.settle()
    after = world.uids()
    assert world.ready()
    assert [name for name in before if before[name] != after[name]] == ["demo-small-0-0", "demo-small-0-1"]
    assert world.actions().count(("EngineRestarted", "demo-small-0")) == 1
    assert world.status["tiers"][0]["engines"][0]["restarts"] == 1
    assert world.status["tiers"][0]["engines"][1]["restarts"] == 0


def test_broken_gang_is_unrouted_though_its_leader_says_it_is_ready() -> None:
    world = settled(TWO_GANGS)
    world.controllers.crash("demo-small-0-1")
    world.reconcile()
    assert world.serving() == ["demo-small-1"]
    assert len(world.routed_addresses()) == 1


def test_broken_ranks_get_no_time_to_drain() -> None:
    """They would ignore SIGTERM for as long as rank 0 lives."""
    world = settled(GANG)
    world.controllers.crash("demo-small-0-1")
    pods_to_delete = [(item.kind, item.grace_seconds) for item in world.outcome().delete]
    assert pods_to_delete == [("Pod", KILL_GRACE_SECONDS)] * 2


def test_backoff_is_on_record_before_any_pod_goes() -> None:
    world = settled(GANG)
    world.controllers.crash("demo-small-0-1")
    before = len(world.server.writes)
    with pytest.raises(Crash):
        world.reconcile(effects=1)
    assert world.server.writes[before:] == ["status HeteroLLMCluster demo"]
    [engine] = world.status["tiers"][0]["engines"]
    assert (engine["restarts"], engine["phase"]) == (1, "Restarting")
    assert engine["notBefore"] > world.status["decisions"][-1]["time"]


@pytest.mark.parametrize("effects", range(1, 6))
def test_crash_of_the_operator_during_a_restart_still_ends_well(effects: int) -> None:
    world = settled(GANG)
    world.controllers.crash("demo-small-0-1")
    try:
        world.reconcile(effects=effects)
    except Crash:
        world.restart_operator()
    world.settle()
    assert world.ready()
    assert world.actions().count(("EngineRestarted", "demo-small-0")) <= 2


@pytest.mark.parametrize("ticks", [1, 6])
def test_view_from_before_the_restart_restarts_nothing_again(ticks: int) -> None:
    """Within the back-off nothing is even tried; later the uids of the pods that are gone protect the new ones."""
    world = settled(GANG)
    world.controllers.crash("demo-small-0-1")
    stale = world.view()
    world.reconcile()
    world.ticks(ticks)
    before, restarts = world.uids(), world.status["tiers"][0]["engines"][0]["restarts"]
    world.reconcile({**stale, ("HeteroLLMCluster", "demo"): world.cluster})
    assert world.uids() == before
    assert world.status["tiers"][0]["engines"][0]["restarts"] == restarts + (ticks > 1)
    world.settle()
    assert world.ready()


def test_engine_that_never_comes_up_is_retried_ever_more_slowly() -> None:
    world = settled(GANG)
    waits = []
    for _ in range(4):
        world.controllers.crash("demo-small-0-1")
        world.reconcile()
        waits.append(world.requeue_after)
        world.settle()
    assert waits == [10, 20, 40, 80]


def test_single_node_engine_is_left_to_the_kubelet() -> None:
    world = settled(api_tier())
    before = world.uids()
    world.controllers.crash("demo-small-0-0")
    world.settle()
    assert world.uids() == before
    assert world.ready()
    assert "EngineRestarted" not in dict(world.actions())


def test_gang_restart_does_not_let_a_rollout_drain_the_last_healthy_engine() -> None:
    world = settled(TWO_GANGS)
    world.controllers.crash("demo-small-0-1")
    world.change(api_tier(engine={"gpus": 16}, replicas={"min": 1}))
    world.reconcile_until_quiet()
    assert world.serving() == ["demo-small-1"]
    world.settle()
    assert world.serving() == ["demo-small-1"]


def test_unschedulable_engine_says_so_and_recovers() -> None:
    world = World(api_tier())
    world.controllers.fits = lambda pod: False
    world.ticks(4)
    [engine] = world.status["tiers"][0]["engines"]
    assert engine["phase"] == "Unschedulable"
    assert world.condition("Ready")["reason"] == "EnginesUnschedulable"
    world.controllers.fits = lambda pod: True
    world.settle()
    assert world.ready()


def test_somebody_scales_an_engine_by_hand() -> None:
    world = settled(api_tier(engine={"gpus": 32}))
    for replicas in (1, 2, 6):
        world.scale_by_hand("demo-small-0", replicas)
        world.settle()
        assert world.ready()
        assert world.serving() == ["demo-small-0"]
