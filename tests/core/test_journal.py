"""Decisions are recorded in status before any effect of them, once each, in a bounded ring."""

from __future__ import annotations

import pytest

from heterollm_controllers.api.timestamps import parse
from heterollm_controllers.api.v1alpha1.status import HeteroLLMClusterStatus
from heterollm_controllers.status.decisions import JOURNAL_LENGTH
from tests.core.builders import api_tier
from tests.core.world import Crash, World, settled


def test_creation() -> None:
    world = settled(api_tier(replicas={"min": 2}), api_tier("large", engine={"gpus": 16}))
    assert world.actions() == [
        ("NewRevision", "small"),
        ("EngineAdded", "small"),
        ("NewRevision", "large"),
        ("EngineAdded", "large"),
    ]
    added = world.status["decisions"][1]["message"]
    assert added == "demo-small-0, demo-small-1: want 2, have 0 current and 0 older engines, 0 serve"


def test_rollout() -> None:
    world = settled(api_tier())
    world.change(api_tier(engine={"gpus": 2}))
    world.settle()
    assert world.actions()[2:] == [
        ("NewRevision", "small"),
        ("EngineAdded", "small"),
        ("EngineDrained", "demo-small-0"),
    ]
    assert "2 x H100" in world.status["decisions"][2]["message"]


def test_each_decision_is_an_event() -> None:
    world = settled(api_tier())
    world.change(api_tier(engine={"gpus": 2}))
    world.settle()
    told = [event.reason for event in world.events]
    for action, _ in world.actions():
        assert action in told
    assert told.count("EngineDrained") == 1


@pytest.mark.parametrize("change", [api_tier(engine={"image": "new"}), api_tier(replicas={"min": 3})])
def test_decision_is_on_record_before_its_first_effect(change: dict[str, object]) -> None:
    world = settled(api_tier())
    world.change(change)
    before, known = len(world.server.writes), len(world.actions())
    with pytest.raises(Crash):
        world.reconcile(effects=1)
    assert world.server.writes[before:] == ["status HeteroLLMCluster demo"]
    assert len(world.actions()) > known


@pytest.mark.parametrize("effects", range(1, 5))
def test_crash_after_recording_repeats_no_decision(effects: int) -> None:
    world = settled(api_tier())
    world.change(api_tier(engine={"image": "new"}))
    with pytest.raises(Crash):
        world.reconcile(effects=effects)
    world.restart_operator()
    world.settle()
    assert world.actions().count(("NewRevision", "small")) == 2
    assert world.actions().count(("EngineAdded", "small")) == 2
    assert world.actions().count(("EngineDrained", "demo-small-0")) == 1


def test_status_of_others_stops_a_stale_look_before_any_effect() -> None:
    world = settled(api_tier())
    world.change(api_tier(engine={"image": "new"}))
    stale = world.view()
    world.change(api_tier())
    before = len(world.server.writes)
    world.reconcile(stale)
    world.reconcile(stale)
    assert [write for write in world.server.writes[before:] if not write.startswith("status")] == []
    assert len(world.actions()) == 2


def test_journal_is_bounded_and_keeps_the_latest() -> None:
    world = settled(api_tier())
    for count in (2, 1) * JOURNAL_LENGTH:
        world.change(api_tier(replicas={"min": count}))
        world.tick()
        assert len(world.actions()) <= JOURNAL_LENGTH
    assert len(world.actions()) == JOURNAL_LENGTH
    assert {action for action, _ in world.actions()} == {"EngineAdded", "EngineDrained"}
    times = [parse(item["time"]) for item in world.status["decisions"]]
    assert times == sorted(times)


def test_status_is_what_the_schema_takes() -> None:
    world = World(api_tier(replicas={"min": 2}), api_tier("large", engine={"gpus": 16}))
    for _ in range(8):
        world.tick()
        assert HeteroLLMClusterStatus.model_validate(world.status).to_wire() == world.status
