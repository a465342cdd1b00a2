"""Engines over several nodes in a cluster with room for one and a half: one runs, the others wait without any GPU."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.core.builders import api_tier
from tests.core.world import Crash, World, settled

PLACEMENT_SECONDS = 60
TICKS = PLACEMENT_SECONDS // 5


def gangs(count: int, name: str = "small", nodes: int = 2, **engine: Any) -> dict[str, Any]:
    engine = {"gpus": 8 * nodes, "placementSeconds": PLACEMENT_SECONDS, **engine}
    return api_tier(name, engine=engine, replicas={"min": count})


def room_for(pods: int, *worlds: World) -> None:
    """So many pods find a node, whosever they are; the pods of rank 0 come first, so that each engine gets half."""
    for world in worlds:
        world.controllers.fits = lambda _: held(*worlds) < pods
        world.controllers.turn = lambda pod: (pod["metadata"]["name"][-1], pod["metadata"]["name"])


def held(*worlds: World) -> int:
    """Pods that have a node, those on their way out included."""
    return sum("nodeName" in pod["spec"] for world in worlds for pod in world.server.of_kind("Pod"))


def held_by(world: World, engine: str) -> int:
    return sum("nodeName" in pod["spec"] for pod in world.controllers.pods_of(world.engines()[engine]))


def phases(world: World) -> dict[str, str]:
    return {item["name"]: item["phase"] for tier in world.status.get("tiers", []) for item in tier["engines"]}


def placement(world: World, engine: str = "demo-small-1") -> dict[str, Any]:
    engines = {item["name"]: item for tier in world.status.get("tiers", []) for item in tier["engines"]}
    return dict(engines.get(engine, {}).get("placement", {}))


@pytest.fixture
def crowded() -> World:
    """Two engines of two pods each, and room for three pods."""
    world = World(gangs(2))
    room_for(3, world)
    return world


def test_one_runs_and_the_other_waits_whole(crowded: World) -> None:
    crowded.until(lambda: crowded.serving() == ["demo-small-0"])
    assert held_by(crowded, "demo-small-1") == 1
    crowded.until(lambda: phases(crowded)["demo-small-1"] == "Waiting")
    crowded.ticks(3)
    assert held_by(crowded, "demo-small-1") == 0
    assert crowded.serving() == ["demo-small-0"]
    assert ("EngineReleased", "demo-small-1") in crowded.actions()
    assert ("EngineReleased", "demo-small-0") not in crowded.actions()


def test_it_says_what_it_waits_for(crowded: World) -> None:
    crowded.until(lambda: phases(crowded).get("demo-small-1") == "Unschedulable")
    ready = crowded.condition("Ready")
    assert ready["message"] == "tier small: demo-small-1 finds only some of its nodes: no GPUs"
    crowded.until(lambda: phases(crowded)["demo-small-1"] == "Waiting")
    message = f"needs 16 GPUs on 2 nodes at once; 1 of 2 pods found one; next try at {placement(crowded)['retryAt']}"
    assert crowded.status["tiers"][0]["engines"][1]["message"] == message
    ready = crowded.condition("Ready")
    assert (ready["reason"], ready["message"]) == ("EnginesUnschedulable", f"tier small: demo-small-1 {message}")
    assert [event.kind for event in crowded.events if event.reason == "EngineReleased"] == ["Warning"]


def test_free_space_is_found_after_the_backoff(crowded: World) -> None:
    crowded.until(lambda: phases(crowded).get("demo-small-1") == "Waiting")
    room_for(4, crowded)
    crowded.until(crowded.ready)
    assert crowded.serving() == ["demo-small-0", "demo-small-1"]
    assert placement(crowded) == {}
    assert crowded.actions().count(("EngineRetried", "demo-small-1")) == 1


def test_engine_that_waits_is_retried_ever_more_slowly_and_writes_nothing_meanwhile(crowded: World) -> None:
    crowded.until(lambda: placement(crowded).get("releases") == 3, most=300)
    crowded.ticks(2)
    before = len(crowded.server.writes)
    crowded.ticks(4 * TICKS - 3)
    assert len(crowded.server.writes) == before
    assert phases(crowded)["demo-small-1"] == "Waiting"
    assert len(crowded.status["decisions"]) < 12


def test_text_of_the_scheduler_may_change_without_a_write(crowded: World) -> None:
    crowded.until(lambda: phases(crowded).get("demo-small-1") == "Unschedulable")
    before = crowded.server.writes[:]
    [pod] = [pod for pod in crowded.server.of_kind("Pod") if "nodeName" not in pod["spec"]]
    for nodes in (3, 17):
        message = f"0/{nodes} nodes are available: {nodes} Insufficient nvidia.com/gpu."
        refused = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        crowded.server.update_status(pod, {"phase": "Pending", "conditions": [refused]})
        crowded.reconcile_until_quiet()
        changed = crowded.server.writes[len(before) :]
        assert changed.count("status HeteroLLMCluster demo") <= 1


def test_two_halves_of_one_cluster_make_one_whole() -> None:
    world = World(gangs(2))
    room_for(2, world)
    world.ticks(3)
    assert [held_by(world, engine) for engine in world.engines()] == [1, 1]
    world.until(lambda: world.serving() == ["demo-small-0"])
    assert phases(world)["demo-small-1"] == "Waiting"
    assert "makes room for demo-small-0" in world.status["decisions"][-1]["message"]


def test_two_halves_of_different_tiers_make_one_whole() -> None:
    world = World(gangs(1), gangs(1, "large"))
    room_for(2, world)
    world.until(lambda: bool(world.serving("small") or world.serving("large")))
    assert sorted(phases(world).values()) == ["Serving", "Waiting"]


def test_two_halves_of_two_clusters_make_one_whole() -> None:
    worlds = [World(gangs(1)), World(gangs(1), first_uid=1000)]
    room_for(2, *worlds)
    for _ in range(12 * TICKS):
        for world in worlds:
            world.tick()
        if any(world.ready() for world in worlds):
            break
    assert sorted(world.ready() for world in worlds) == [False, True]
    for _ in range(12 * TICKS):
        for world in worlds:
            world.tick()
    assert sorted(world.ready() for world in worlds) == [False, True]


def test_lone_half_releases_too() -> None:
    """Somebody else, of whom we know nothing, may need what it holds."""
    world = World(gangs(1, nodes=4))
    room_for(3, world)
    world.until(lambda: phases(world).get("demo-small-0") == "Waiting")
    world.ticks(3)
    assert held(world) == 0


def test_engine_that_serves_is_never_released() -> None:
    world = settled(gangs(2))
    room_for(0, world)
    before = world.uids()
    world.ticks(3 * TICKS)
    assert world.uids() == before
    assert world.ready()


def test_engine_that_lost_a_node_releases_the_others() -> None:
    world = settled(gangs(2))
    room_for(3, world)
    world.server.delete("Pod", "demo-small-1-1")
    world.until(lambda: phases(world)["demo-small-1"] == "Unschedulable")
    assert held_by(world, "demo-small-1") == 1
    world.until(lambda: phases(world)["demo-small-1"] == "Waiting")
    assert world.serving() == ["demo-small-0"]
    room_for(4, world)
    world.until(world.ready)
    assert world.status["tiers"][0]["engines"][1]["restarts"] == 1


def test_crashing_rank_does_not_start_the_clock_anew(crowded: World) -> None:
    """It is restarted as a whole each time, without its companion."""
    crowded.until(lambda: "halfSince" in placement(crowded))
    since = placement(crowded)["halfSince"]
    for _ in range(TICKS - 3):
        if "nodeName" in crowded.server.objects.get(("Pod", "demo-small-1-0"), {}).get("spec", {}):
            crowded.controllers.crash("demo-small-1-0")
        crowded.ticks(1)
        assert placement(crowded)["halfSince"] == since
    assert crowded.actions().count(("EngineRestarted", "demo-small-1")) > 1
    crowded.until(lambda: phases(crowded)["demo-small-1"] == "Waiting", most=TICKS)


def test_unplaced_engine_holds_nothing_and_so_keeps_its_pods() -> None:
    world = settled(gangs(1))
    room_for(2, world)
    world.change(gangs(2))
    world.ticks(4 * TICKS)
    assert phases(world)["demo-small-1"] == "Unschedulable"
    assert ("EngineReleased", "demo-small-1") not in world.actions()
    room_for(4, world)
    world.ticks(6)
    assert world.ready()


def test_waiting_engine_goes_when_it_is_no_longer_wanted(crowded: World) -> None:
    crowded.until(lambda: phases(crowded).get("demo-small-1") == "Waiting")
    crowded.change(gangs(1))
    crowded.settle()
    assert [*crowded.engines()] == ["demo-small-0"]
    assert crowded.ready()


def test_change_is_rolled_out_past_an_engine_that_waits(crowded: World) -> None:
    crowded.until(lambda: phases(crowded).get("demo-small-1") == "Waiting")
    room_for(6, crowded)
    crowded.change(gangs(2, image="new"))
    crowded.until(crowded.ready, most=200)
    assert {*crowded.images().values()} == {"new"}


def test_new_patience_restarts_nothing_and_counts_at_once(crowded: World) -> None:
    crowded.until(lambda: phases(crowded).get("demo-small-1") == "Unschedulable")
    before = crowded.uids()
    crowded.change(gangs(2, placementSeconds=600))
    crowded.ticks(2 * TICKS)
    assert crowded.uids() == before
    crowded.change(gangs(2, placementSeconds=10))
    crowded.ticks(1)
    assert phases(crowded)["demo-small-1"] == "Waiting"


# --- operators that die


def moments(world: World, most: int = 8 * TICKS) -> Iterator[World]:
    """The world each time the operator is about to look, until the waiting engine has been tried again."""
    for _ in range(most):
        world.tick(reconcile=False)
        yield world.copy()
        world.reconcile_until_quiet()
        if ("EngineRetried", "demo-small-1") in world.actions():
            return
    raise AssertionError("never tried again")


def test_backoff_is_on_record_before_any_pod_goes(crowded: World) -> None:
    for moment in moments(crowded):
        if any(event.reason == "EngineReleased" for event in moment.outcome().events):
            before, held_before = len(moment.server.writes), held(moment)
            with pytest.raises(Crash):
                moment.reconcile(effects=1)
            assert moment.server.writes[before:] == ["status HeteroLLMCluster demo"]
            assert placement(moment)["releases"] == 1
            assert held(moment) == held_before
            return
    raise AssertionError("never released")


def test_operator_that_dies_at_any_effect_neither_forgets_nor_doubles_the_backoff(crowded: World) -> None:
    for moment in moments(crowded):
        outcome = moment.outcome()
        for effects in range(1, len(outcome.events) + len(outcome.apply) + len(outcome.delete) + 1):
            world = moment.copy()
            room_for(3, world)
            with pytest.raises(Crash):
                world.reconcile(effects=effects)
            known = placement(world)
            world.restart_operator()
            world.reconcile_until_quiet()
            if "retryAt" in known:
                assert placement(world) == known
            world.until(lambda world=world: ("EngineRetried", "demo-small-1") in world.actions())  # type: ignore[misc]
            assert world.actions().count(("EngineReleased", "demo-small-1")) == 1
            room_for(4, world)
            world.until(world.ready)


def test_restarts_at_any_time_change_no_decision(crowded: World) -> None:
    other = World(gangs(2))
    room_for(3, other)
    for tick in range(20 * TICKS):
        crowded.tick()
        if tick % 3 == 0:
            other.restart_operator()
        other.tick()
    assert other.status == crowded.status
    assert crowded.actions().count(("EngineReleased", "demo-small-1")) > 2


def test_view_from_before_the_release_does_not_bring_the_pods_back(crowded: World) -> None:
    crowded.until(lambda: phases(crowded).get("demo-small-1") == "Unschedulable")
    stale = crowded.view()
    crowded.until(lambda: phases(crowded)["demo-small-1"] == "Waiting")
    crowded.ticks(2)
    known = placement(crowded)
    crowded.reconcile({**stale, ("HeteroLLMCluster", "demo"): crowded.cluster})
    assert placement(crowded) == known
    crowded.ticks(1)
    assert crowded.controllers.pods_of(crowded.engines()["demo-small-1"]) == []


def test_pods_that_would_drain_for_minutes_are_killed_by_whoever_leads_next(crowded: World) -> None:
    """The set was scaled to 0, which gives its pods their whole grace; the operator died before it cut that short."""
    for moment in moments(crowded):
        outcome = moment.outcome()
        if any(event.reason == "EngineReleased" for event in outcome.events):
            with pytest.raises(Crash):
                moment.reconcile(effects=1 + len(outcome.events) + len(outcome.apply))
            moment.restart_operator()
            moment.controllers._stateful_set(moment.engines()["demo-small-1"])
            [pod] = moment.controllers.pods_of(moment.engines()["demo-small-1"])[:1]
            assert pod["metadata"]["deletionGracePeriodSeconds"] > 1
            pods_to_delete = [(item.name, item.grace_seconds) for item in moment.outcome().delete]
            assert ("demo-small-1-0", 1) in pods_to_delete
            return
    raise AssertionError("never released")
