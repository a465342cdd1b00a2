"""Tiers are added, removed, renamed and reordered."""

from __future__ import annotations

from heterollm_controllers.api.timestamps import stamp
from tests.core.builders import api_tier
from tests.core.world import World, settled


def two() -> World:
    return settled(api_tier(), api_tier("large", replicas={"min": 2}))


def test_added_tier_leaves_the_others_alone() -> None:
    world = settled(api_tier())
    before = world.uids()
    world.change(api_tier(), api_tier("large", engine={"gpus": 16}))
    world.settle()
    assert world.ready()
    assert world.serving("large") == ["demo-large-0"]
    assert before.items() <= world.uids().items()


def test_removed_tier_is_unrouted_drained_and_gone_with_all_its_objects() -> None:
    world = two()
    before = world.uids()["demo-small-0-0"]
    world.change(api_tier())
    world.reconcile_until_quiet()
    assert "eds-large.json" not in world.policy()
    assert world.actions()[-1] == ("TierRemoved", "large")
    world.settle()
    assert world.ready()
    assert [name for _, name in world.server.objects if "large" in name] == []
    assert world.uids()["demo-small-0-0"] == before


def test_not_ready_while_engines_of_a_removed_tier_still_answer() -> None:
    world = two()
    world.change(api_tier())
    world.tick()
    assert world.engines("large")
    assert not world.ready()
    assert world.condition("Ready")["reason"] == "EnginesDraining"
    assert "demo-large-0, demo-large-1" in world.condition("Ready")["message"]


def test_removal_is_decided_once() -> None:
    world = two()
    world.change(api_tier())
    world.settle()
    assert world.actions().count(("TierRemoved", "large")) == 1
    assert [event.reason for event in world.events].count("TierRemoved") == 1


def test_what_is_being_deleted_is_not_deleted_again() -> None:
    """A finalizer may hold it for long, and every look would send as many requests."""
    world = two()
    world.change(api_tier())
    view = world.view()
    place = "Service", "demo-large-engines"
    assert place in {(item.kind, item.name) for item in world.outcome(view).delete}
    item = view[place]
    leaving = {**item, "metadata": {**item["metadata"], "deletionTimestamp": stamp(world.now)}}
    assert place not in {(item.kind, item.name) for item in world.outcome({**view, place: leaving}).delete}


def test_renamed_tier_is_a_new_one() -> None:
    world = two()
    world.change(api_tier("tiny"), api_tier("large", replicas={"min": 2}))
    world.settle()
    assert world.ready()
    assert world.serving("tiny") == ["demo-tiny-0"]
    assert world.engines("small") == {}


def test_reordered_tiers_restart_nothing_and_change_the_policy() -> None:
    world = two()
    before, version = world.uids(), int(world.policy()["version"])
    world.change(api_tier("large", replicas={"min": 2}), api_tier())
    world.settle()
    assert world.uids() == before
    assert int(world.policy()["version"]) == version + 1
    assert [tier["name"] for tier in world.status["tiers"]] == ["large", "small"]


def test_tier_that_comes_back_while_its_engines_still_drain() -> None:
    world = two()
    world.change(api_tier())
    world.tick()
    world.change(api_tier(), api_tier("large", replicas={"min": 2}))
    world.settle()
    assert world.ready()
    assert len(world.serving("large")) == 2
    assert [*world.engines("large")] == ["demo-large-2", "demo-large-3"]
