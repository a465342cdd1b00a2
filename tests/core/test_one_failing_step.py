"""A step of the reconcile that fails by a defect of ours stops no other: status, policy and other children follow."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest

from heterollm_controllers.api import names
from heterollm_controllers.engines import rollout
from heterollm_controllers.reconcile import children, engine_steps, pipeline
from tests.core.builders import api_tier
from tests.core.world import World, settled

STEPS = [
    (pipeline, "place_engines", "gang placement"),
    (engine_steps, "check_gang", "gang restart of tier small"),
    (pipeline, "steer", "control loop"),
    (engine_steps, "next_step", "tier small"),
    (children, "routing_policy", "routing policy"),
    (children, "envoy_files", "routing policy"),
    (children, "cluster_objects", "shared objects"),
    (children, "tier_objects", "objects of tier small"),
    (children, "engine_from", "engines of tier small"),
]
"""Module, function that fails, and the name of the step that it belongs to."""

each_step = pytest.mark.parametrize(("module", "function", "step"), STEPS, ids=[f"{row[1]}" for row in STEPS])


def fail(*_: Any, **__: Any) -> NoReturn:
    raise KeyError("nobody thought of this")


@pytest.fixture
def world() -> World:
    """A cluster at rest, of which one tier has engines of two nodes."""
    return settled(api_tier(), api_tier("large", engine={"nodes": 2, "gpus": 16}))


@each_step
def test_the_status_says_which_step_failed(
    world: World, monkeypatch: pytest.MonkeyPatch, module: Any, function: str, step: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(module, function, fail)
        outcome = world.outcome()
        world.reconcile()
        programmed = world.condition("Programmed")
        assert (programmed["status"], programmed["reason"]) == ("False", "InternalError")
        assert f"{step}: KeyError: 'nobody thought of this'" in programmed["message"]
        assert world.holds("Stalled")
        assert [*map(type, outcome.defects)].count(KeyError) == len(outcome.defects) > 0
    world.settle()
    assert world.ready()


@each_step
def test_nothing_that_runs_is_hurt(
    world: World, monkeypatch: pytest.MonkeyPatch, module: Any, function: str, step: str
) -> None:
    uids, serving = world.uids(), [*world.serving(), *world.serving("large")]
    objects = {*world.server.objects}
    with monkeypatch.context() as patch:
        patch.setattr(module, function, fail)
        for _ in range(3):
            world.reconcile()
            world.tick()
        assert {*world.server.objects} >= objects
        assert world.uids() == uids
        assert [*world.serving(), *world.serving("large")] == serving


@each_step
def test_other_children_are_repaired(
    world: World, monkeypatch: pytest.MonkeyPatch, module: Any, function: str, step: str
) -> None:
    shared, of_tier = ("ServiceAccount", "demo-engines"), ("Service", names.engines_name("demo", "small"))
    lost = of_tier if step == "shared objects" else shared
    with monkeypatch.context() as patch:
        patch.setattr(module, function, fail)
        world.server.remove(*lost)
        world.ticks(2)
        assert lost in world.server.objects


def test_only_the_tier_that_fails_stands_still(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def next_step(desired: int, revision: str, *rest: Any) -> Any:
        return fail() if "-small-" in revision else rollout.next_step(desired, revision, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(engine_steps, "next_step", next_step)
        more = {"min": 2}
        large = api_tier("large", engine={"nodes": 2, "gpus": 16}, replicas=more)
        world.change(api_tier(replicas=more), large)
        world.ticks(6)
        assert (len(world.serving()), len(world.serving("large"))) == (1, 2)
    world.settle()
    assert (len(world.serving()), len(world.serving("large"))) == (2, 2)


def test_engines_stay_while_the_routers_cannot_be_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """They let go of an engine by the policy."""
    before = world.serving()
    with monkeypatch.context() as patch:
        patch.setattr(children, "routing_policy", fail)
        world.change(api_tier(engine={"image": "new"}), api_tier("large", engine={"nodes": 2, "gpus": 16}))
        world.ticks(8)
        assert {*before} <= {*world.serving()}
    world.settle()
    assert {*world.images().values()} >= {"new"}


def test_what_a_step_decided_before_it_failed_is_not_decided(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(engine_steps, "on_standby", fail)
        world.change(api_tier(replicas={"min": 2, "standby": 1}), api_tier("large", engine={"nodes": 2, "gpus": 16}))
        outcome = world.outcome()
        assert "EngineAdded" not in {item["action"] for item in outcome.status["decisions"]} - {
            item["action"] for item in world.status["decisions"]
        }
        assert not any(item["kind"] == "StatefulSet" for item in outcome.apply)
