"""From creation to deletion: what a cluster goes through when everything works."""

from __future__ import annotations

from tests.core.builders import api_tier
from tests.core.world import NAME, World, settled

TIERS = api_tier(replicas={"min": 2}), api_tier("large", engine={"gpus": 16})


def test_all_children_are_there_after_the_first_look() -> None:
    world = World(*TIERS)
    world.reconcile_until_quiet()
    assert [*world.engines(), *world.engines("large")] == ["demo-small-0", "demo-small-1", "demo-large-0"]
    assert world.server.get("Service", "demo") is not None
    assert world.policy()["version"] == "1"


def test_created_cluster_becomes_ready() -> None:
    world = World(*TIERS)
    world.settle()
    assert world.ready()
    assert world.serving() == ["demo-small-0", "demo-small-1"]
    assert world.serving("large") == ["demo-large-0"]
    assert world.status["engines"] == "3/3"
    assert world.status["mode"] == "Normal"
    assert world.status["routing"]["url"] == "http://demo.team.svc.cluster.local"
    assert world.status["routing"]["routers"] == 2


def test_each_status_is_written_once_per_change() -> None:
    world = World(*TIERS)
    world.settle()
    statuses = [write for write in world.server.writes if write.startswith("status")]
    # Created, pods made, serving (tiers of one tick together), routed: not one per tick.
    assert len(statuses) <= 6, world.server.writes


def test_steady_cluster_costs_no_write_also_after_a_restart_of_the_operator() -> None:
    world = settled(*TIERS)
    before = list(world.server.writes)
    for _ in range(5):
        world.tick()
        world.reconcile()
    world.restart_operator()
    world.reconcile()
    world.ticks(5)
    assert world.server.writes == before
    outcome = world.outcome()
    assert outcome.status == world.status
    assert (outcome.apply, outcome.delete, outcome.events, outcome.check, outcome.requeue_after) == ((),) * 4 + (None,)


def test_same_look_gives_the_same_outcome_and_changes_no_input() -> None:
    world = World(*TIERS)
    for _ in range(6):
        world.tick(reconcile=False)
        view = world.view()
        before = repr(view)
        assert world.outcome(view) == world.outcome(view)
        assert repr(view) == before
        world.reconcile_until_quiet()


def test_order_in_which_children_are_observed_does_not_matter() -> None:
    world = World(*TIERS)
    world.ticks(2)
    world.change(api_tier(engine={"image": "new"}), TIERS[1])
    view = world.view()
    assert world.outcome(view) == world.outcome(dict(reversed([*view.items()])))


def test_deleted_cluster_leaves_nothing() -> None:
    world = settled(*TIERS)
    world.server.delete("HeteroLLMCluster", NAME)
    world.ticks(6)
    assert world.server.objects == {}


def test_cluster_that_is_being_deleted_is_left_to_the_garbage_collector() -> None:
    world = settled(*TIERS)
    world.server.edit(
        "HeteroLLMCluster", NAME, lambda live: live["metadata"].update(deletionTimestamp="2026-01-01T00:00:00Z")
    )
    world.server.delete("Deployment", "demo-router")
    outcome = world.outcome()
    assert outcome.status == world.status
    assert (outcome.apply, outcome.delete, outcome.events) == ((), (), ())
