"""A changed tier is rolled out one engine at a time; a bad change never costs a healthy engine."""

from __future__ import annotations

from typing import Any

import pytest

from tests.core.builders import api_tier
from tests.core.fake_controllers import START_TICKS
from tests.core.world import World, settled


def guard(world: World, tier: str, least: int, most: int) -> None:
    """From now on at least `least` engines serve and at most `most` are alive, at every tick."""

    def watch() -> None:
        alive = [item for item in world.engines(tier).values() if "deletionTimestamp" not in item["metadata"]]
        assert len(world.serving(tier)) >= least, world.status
        assert len(alive) <= most, world.status

    world.watch = watch


THREE = {"min": 3}


def test_change_is_rolled_out_without_ever_serving_less() -> None:
    world = settled(api_tier(replicas=THREE))
    before = world.uids()
    guard(world, "small", 3, 4)
    world.change(api_tier(replicas=THREE, engine={"image": "new"}))
    world.settle()
    assert world.ready()
    assert [*world.images().values()] == ["new"] * 3
    assert not {*before.values()} & {*world.uids().values()}


def test_multi_node_tier_is_rolled_out_the_same_way() -> None:
    world = settled(api_tier(engine={"gpus": 16}))
    guard(world, "small", 1, 2)
    world.change(api_tier(engine={"gpus": 16, "image": "new"}))
    world.settle()
    assert [*world.images().values()] == ["new"]
    assert len(world.server.of_kind("Pod")) == 2


def test_engine_may_change_its_shape() -> None:
    world = settled(api_tier(engine={"gpus": 16}))
    guard(world, "small", 1, 2)
    world.change(api_tier(engine={"gpus": 4}))
    world.settle()
    assert world.ready()
    assert len(world.server.of_kind("Pod")) == 1
    assert world.status["tiers"][0]["sizing"]["gpusPerEngine"] == 4


def test_only_the_changed_tier_is_touched() -> None:
    world = settled(api_tier(), api_tier("large"))
    before = world.uids()["demo-large-0-0"]
    world.change(api_tier(engine={"image": "new"}), api_tier("large"))
    world.settle()
    assert world.uids()["demo-large-0-0"] == before
    assert [*world.images().values()] == ["new"]


@pytest.mark.parametrize(
    "spec",
    [
        {"routing": {"complexityThreshold": "0.5"}},
        {"routing": {"replicas": 3, "service": {"type": "NodePort"}}},
        {"security": {"networkPolicies": False}},
    ],
)
def test_changes_beside_the_engines_restart_none(spec: dict[str, Any]) -> None:
    world = settled(api_tier())
    before = world.uids()
    world.change(api_tier(), **spec)
    world.settle()
    assert world.ready()
    assert world.uids() == before


def test_default_written_out_restarts_no_engine() -> None:
    world = settled(api_tier())
    before = world.uids()
    world.change(api_tier(engine={"drainSeconds": 300, "sharedMemory": "16Gi"}, replicas={"min": 1}))
    world.settle()
    assert world.uids() == before


def test_scaling_restarts_no_engine() -> None:
    world = settled(api_tier(replicas=THREE))
    before = world.uids()
    guard(world, "small", 2, 5)
    world.change(api_tier(replicas={"min": 5}))
    world.settle()
    assert len(world.serving()) == 5
    assert before.items() <= world.uids().items()
    world.change(api_tier(replicas={"min": 2}))
    world.settle()
    assert world.serving() == ["demo-small-0", "demo-small-1"]
    assert world.uids().items() <= before.items()


def test_scale_to_zero_and_back() -> None:
    world = settled(api_tier())
    world.change(api_tier(replicas={"min": 0}))
    world.settle()
    assert (world.ready(), world.engines(), world.status["engines"]) == (True, {}, "0/0")
    world.change(api_tier(replicas={"min": 1}))
    world.settle()
    assert world.serving() == ["demo-small-0"]


def test_broken_change_stops_at_one_engine_and_costs_no_healthy_one() -> None:
    world = settled(api_tier(replicas=THREE))
    before = world.uids()
    guard(world, "small", 3, 4)
    world.change(api_tier(replicas=THREE, engine={"image": "broken"}))
    world.ticks(20)
    assert not world.ready()
    assert world.condition("Ready")["reason"] == "RollingOut"
    assert before.items() <= world.uids().items()
    assert sorted(world.images().values()).count("broken") == 1


def test_fixing_a_broken_change_rolls_on() -> None:
    world = settled(api_tier(replicas=THREE))
    guard(world, "small", 3, 4)
    world.change(api_tier(replicas=THREE, engine={"image": "broken"}))
    world.ticks(6)
    world.change(api_tier(replicas=THREE, engine={"image": "fixed"}))
    world.settle()
    assert [*world.images().values()] == ["fixed"] * 3


@pytest.mark.parametrize("image", ["new", "broken"])
@pytest.mark.parametrize("after", range(1, 12, 2))
def test_revert_in_the_middle_keeps_what_still_runs(image: str, after: int) -> None:
    world = settled(api_tier(replicas=THREE))
    before = world.uids()
    old = {*world.images().values()}
    guard(world, "small", 3, 4)
    world.change(api_tier(replicas=THREE, engine={"image": image}))
    world.ticks(after)
    staying = [item for item in world.engines().values() if "deletionTimestamp" not in item["metadata"]]
    kept = {pod["metadata"]["uid"] for item in staying for pod in world.controllers.pods_of(item)} & {*before.values()}
    world.change(api_tier(replicas=THREE))
    world.settle()
    assert world.ready()
    assert {*world.images().values()} == old
    assert kept <= {*world.uids().values()}
    assert len(world.server.of_kind("ControllerRevision")) == 1


def test_old_engine_that_leaves_finishes_before_the_next_starts() -> None:
    """One spare engine's worth of GPUs is enough."""
    world = settled(api_tier(replicas=THREE))

    def watch() -> None:
        assert len(world.engines()) <= 4

    world.watch = watch
    world.change(api_tier(replicas=THREE, engine={"image": "new"}))
    world.settle()


def test_change_while_the_first_start_still_runs() -> None:
    """Two start-ups later all is well: one to prove the fix, one for all others together."""
    eight = {"min": 8}
    world = World(api_tier(replicas=eight, engine={"image": "broken"}))
    world.ticks(3)
    world.change(api_tier(replicas=eight, engine={"image": "fixed"}))
    world.until(lambda: len(world.serving()) == 8, 3 * START_TICKS + 4)
    world.settle()
    assert [*world.images().values()] == ["fixed"] * 8
