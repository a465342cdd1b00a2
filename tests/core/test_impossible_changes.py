"""A valid spec that cannot be carried out is refused with its reason, and what runs keeps running."""

from __future__ import annotations

from typing import Any

import pytest

from heterollm_controllers.reconcile.pipeline import reconcile
from tests.core.builders import api_tier
from tests.core.fake_server import Body
from tests.core.world import World, settled


def nest(levels: int) -> dict[str, Any]:
    """Maps and lists in turns."""
    value: Any = 1
    for level in range(levels):
        value = {"a": value} if level % 2 or level == levels - 1 else [value]
    return dict(value)


UNKNOWN = api_tier(accelerator={"type": "X1000"})
BAD_TEMPLATE = api_tier(podTemplate={"spec": {"hostNetwork": "maybe"}})


def refuses_bad_templates(manifest: Body) -> str | None:
    """The API server's answer to the template above, stored or dry-run; with HTTP status 500, by the way."""
    if manifest["kind"] == "StatefulSet" and manifest["spec"]["template"]["spec"].get("hostNetwork") == "maybe":
        return (
            "failed to create typed patch object (team/demo-small-0; apps/v1, Kind=StatefulSet):"
            ' .spec.template.spec.hostNetwork: expected boolean, got &value.valueUnstructured{Value:"maybe"}'
        )
    return None


def world_of(*tiers: dict[str, Any]) -> World:
    world = World(*tiers)
    world.server.rejects = refuses_bad_templates
    return world


IMPOSSIBLE = [
    pytest.param(UNKNOWN, "UnknownAccelerator", "memoryGiB", id="accelerator"),
    pytest.param(api_tier(engine={"gpus": 9}), "GpusDoNotDivide", "9 / 2", id="gpus"),
    pytest.param(api_tier(engine={"gpus": 16, "nodes": 1}), "EngineLargerThanNodes", "16 per node", id="nodes"),
    pytest.param(api_tier(engine={"gpus": 8, "expertParallel": 3}), "InvalidParallelism", "8 / 3", id="parallelism"),
    pytest.param(BAD_TEMPLATE, "PodTemplateInvalid", "hostNetwork", id="template"),
    pytest.param(api_tier(podTemplate={"metadata": "text"}), "PodTemplateInvalid", "must be a map", id="metadata"),
    pytest.param(api_tier(podTemplate=nest(33)), "PodTemplateInvalid", "more than 32 levels", id="deep template"),
    pytest.param(
        api_tier(model={"id": "a/b", "config": nest(90)}), "UnreadableModel", "more than 32 levels", id="deep config"
    ),
]


@pytest.mark.parametrize(("bad", "reason", "message"), IMPOSSIBLE)
def test_what_runs_keeps_running(bad: dict[str, Any], reason: str, message: str) -> None:
    world = world_of(api_tier())
    world.settle()
    before, policy = world.uids(), world.policy()
    world.change(bad)
    world.settle()
    accepted = world.condition("Accepted")
    assert (accepted["status"], accepted["reason"]) == ("False", reason)
    assert message in accepted["message"]
    assert "tier small" in accepted["message"]
    assert world.uids() == before
    assert world.serving() == ["demo-small-0"]
    assert world.policy() == policy
    assert world.holds("Stalled")
    assert not world.holds("Reconciling")
    assert world.condition("Ready")["reason"] == "NotAccepted"


@pytest.mark.parametrize(("bad", "reason", "message"), IMPOSSIBLE)
def test_refusal_is_steady_and_ends_with_the_revert(bad: dict[str, Any], reason: str, message: str) -> None:
    world = world_of(api_tier())
    world.settle()
    before = world.uids()
    world.change(bad)
    world.settle()
    writes = list(world.server.writes)
    world.ticks(5)
    assert world.server.writes == writes
    warnings = [event for event in world.events if event.reason == reason]
    assert [(event.kind, message in event.message) for event in warnings] == [("Warning", True)]
    world.change(api_tier())
    world.settle()
    assert world.ready()
    assert world.uids() == before


@pytest.mark.parametrize(("bad", "reason", "message"), IMPOSSIBLE)
def test_impossible_from_the_start_makes_no_engine_and_recovers(bad: dict[str, Any], reason: str, message: str) -> None:
    world = world_of(bad)
    world.settle()
    assert world.condition("Accepted")["reason"] == reason
    assert world.engines() == {}
    world.change(api_tier())
    world.settle()
    assert world.ready()


@pytest.mark.parametrize(("bad", "reason", "message"), IMPOSSIBLE)
def test_other_tiers_are_still_updated(bad: dict[str, Any], reason: str, message: str) -> None:
    world = world_of(api_tier(), api_tier("large"))
    world.settle()
    before = world.uids()["demo-small-0-0"]
    world.change(bad, api_tier("large", engine={"image": "new"}, replicas={"min": 2}))
    world.settle()
    assert world.condition("Accepted")["reason"] == reason
    assert world.uids()["demo-small-0-0"] == before
    assert [*world.images("large").values()] == ["new", "new"]
    assert world.serving() == ["demo-small-0"]


def test_refused_tier_still_follows_its_number_of_replicas() -> None:
    world = world_of(api_tier())
    world.settle()
    images = {*world.images().values()}
    world.change({**UNKNOWN, "replicas": {"min": 2}})
    world.settle()
    assert len(world.serving()) == 2
    assert {*world.images().values()} == images


def test_refused_tier_is_still_looked_after() -> None:
    world = world_of(api_tier())
    world.settle()
    world.change(UNKNOWN)
    world.settle()
    world.server.delete("StatefulSet", "demo-small-0")
    world.settle()
    assert world.serving() == ["demo-small-0"]


def test_refusal_in_the_middle_of_a_rollout_finishes_the_rollout() -> None:
    """The last accepted spec is what should run, not the mixture that happened to run."""
    world = world_of(api_tier(replicas={"min": 2}))
    world.settle()
    world.change(api_tier(replicas={"min": 2}, engine={"image": "new"}))
    world.ticks(2)
    world.change({**UNKNOWN, "replicas": {"min": 2}})
    world.settle()
    assert [*world.images().values()] == ["new", "new"]
    assert len(world.serving()) == 2


def test_refusals_of_several_tiers_are_all_told() -> None:
    world = world_of(UNKNOWN, api_tier("large", engine={"gpus": 9}))
    world.settle()
    message = world.condition("Accepted")["message"]
    assert "tier small" in message
    assert "tier large" in message


def test_bad_template_is_found_by_dry_run_before_anything_is_written() -> None:
    world = world_of(BAD_TEMPLATE)
    [checked] = reconcile(world.observed(), world.config, world.now).check
    assert checked["kind"] == "StatefulSet"
    assert "StatefulSet" not in {manifest["kind"] for manifest in world.outcome().apply}


def test_an_accepted_template_is_asked_about_once() -> None:
    world = settled(api_tier())
    asked = world.server.dry_runs
    world.change(api_tier(engine={"image": "new"}, replicas={"min": 2}))
    world.settle()
    assert world.server.dry_runs == asked + 1


def test_a_restarted_operator_says_the_same_without_a_write() -> None:
    world = world_of(api_tier())
    world.settle()
    world.change(BAD_TEMPLATE)
    world.settle()
    writes = list(world.server.writes)
    world.restart_operator()
    world.ticks(3)
    assert world.server.writes == writes


def test_spec_that_no_longer_parses_touches_nothing() -> None:
    """An older schema may have let it in."""
    world = world_of(api_tier())
    world.settle()
    before, policy = world.uids(), world.policy()
    world.change({**api_tier(), "replicas": "many"})
    world.settle()
    assert world.condition("Accepted")["reason"] == "InvalidSpec"
    assert "replicas" in world.condition("Accepted")["message"]
    assert (world.uids(), world.policy()) == (before, policy)
    assert world.status["tiers"][0]["serving"] == 1
    assert not world.ready()
    world.change(api_tier())
    world.settle()
    assert world.ready()
    assert world.uids() == before
