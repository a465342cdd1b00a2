"""From creation to deletion: what a cluster goes through when everything works."""

from __future__ import annotations

from tests.core.builders import api_tier
from tests.core.world import NAME, World


def test_created_cluster_becomes_ready() -> None:
    world = World(api_tier(replicas={"min": 2}), api_tier("large", engine={"gpus": 16}))
    world.settle()
    assert world.ready()
    assert world.serving() == ["demo-small-0", "demo-small-1"]
    assert world.serving("large") == ["demo-large-0"]


def test_steady_cluster_costs_no_write() -> None:
    world = World(api_tier(replicas={"min": 2}), api_tier("large", engine={"gpus": 16}))
    world.settle()
    before = list(world.server.writes)
    world.ticks(10)
    world.restart_operator()
    world.ticks(10)
    assert world.server.writes == before
    outcome = world.outcome()
    assert outcome.status == world.status
    assert (outcome.apply, outcome.delete, outcome.events, outcome.check, outcome.requeue_after) == ((),) * 4 + (None,)


def test_deleted_cluster_leaves_nothing() -> None:
    world = World(api_tier(replicas={"min": 2}), api_tier("large", engine={"gpus": 16}))
    world.settle()
    world.server.delete("HeteroLLMCluster", NAME)
    world.ticks(6)
    assert world.server.objects == {}
