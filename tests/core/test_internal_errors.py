"""An error of our own is a condition of the cluster: of one tier where one tier met it."""

from __future__ import annotations

from typing import Any

import pytest

from heterollm_controllers.api.v1alpha1.tier import Tier
from heterollm_controllers.engines import revisions
from heterollm_controllers.reconcile import pipeline as module
from heterollm_controllers.reconcile.internal_error import described, internal_error
from heterollm_controllers.sizing import size
from tests.core.builders import NOW, api_tier, manifest
from tests.core.world import settled


def by_type(status: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {item["type"]: item for item in status["conditions"]}


def broken_size(tier: Tier, *rest: Any) -> Any:
    """As a flag that sizing does not know how to compute with."""
    if tier.engine.image == "new":
        raise KeyError("nvfp4")
    return size(tier, *rest)


def test_a_tier_that_cannot_be_sized_keeps_its_engines_and_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    world = settled(api_tier(), api_tier("large"))
    before = world.uids()
    with monkeypatch.context() as patch:
        patch.setattr(revisions, "size", broken_size)
        world.change(api_tier(engine={"image": "new"}), api_tier("large", replicas={"min": 2}))
        world.ticks(6)
        condition = world.condition("Accepted")
        assert (condition["status"], condition["reason"]) == ("False", "InternalError")
        assert condition["message"].startswith("tier small: KeyError: 'nvfp4' (a defect of the operator")
        assert world.holds("Stalled")
        assert world.uids().items() >= before.items()
        assert world.serving() == ["demo-small-0"]
        assert len(world.serving("large")) == 2
        assert [str(error) for error in world.outcome().defects] == ["'nvfp4'"]
        assert world.outcome().retry
    world.settle()
    assert world.ready()
    assert {*world.images().values()} == {"new"}


def test_an_error_anywhere_else_keeps_the_status_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    world = settled(api_tier())
    status = world.status
    world.change(api_tier(replicas={"min": 2}))
    with monkeypatch.context() as patch:
        patch.setattr(module, "cluster_status", lambda *_: 1 // 0)
        with pytest.raises(ZeroDivisionError) as raised:
            world.outcome()
    outcome = internal_error(world.cluster, raised.value, world.now)
    said = by_type(outcome.status)
    assert said["Programmed"]["message"].startswith("ZeroDivisionError: integer division or modulo by zero")
    assert {kind: item["reason"] for kind, item in said.items() if item["observedGeneration"] == 2} == {
        "Programmed": "InternalError",
        "Ready": "InternalError",
        "Reconciling": "Settled",
        "Stalled": "InternalError",
    }
    kept = by_type(status)
    assert all(said[kind] == kept[kind] for kind in ("Accepted", "TiersCompatible", "MetricsAvailable"))
    assert outcome.status["observedGeneration"] == 2
    rest = {"conditions", "observedGeneration"}
    assert {key: outcome.status[key] for key in status.keys() - rest} == {
        key: status[key] for key in status.keys() - rest
    }
    assert [event.reason for event in outcome.events] == ["InternalError", "InternalError"]
    world.server.write_status(world.cluster, outcome.status)
    world.settle()
    assert world.ready()
    assert world.condition("Programmed")["status"] == "True"


def test_a_status_that_cannot_be_read_is_no_obstacle() -> None:
    cluster = {**manifest(), "status": {"tiers": "none of this is ours"}}
    outcome = internal_error(cluster, ValueError("unreadable"), NOW)
    assert outcome.status["tiers"] == "none of this is ours"
    assert by_type(outcome.status)["Programmed"]["reason"] == "InternalError"


def test_a_condition_that_cannot_be_read_is_kept_and_no_obstacle() -> None:
    theirs = {"type": "Ready", "status": "perhaps"}
    others = {"type": "Theirs", "status": "perhaps"}
    cluster = {**manifest(), "status": {"conditions": [theirs, others]}}
    outcome = internal_error(cluster, ValueError("unreadable"), NOW)
    assert by_type(outcome.status)["Ready"]["reason"] == "InternalError"
    assert by_type(outcome.status)["Theirs"] == others


def test_the_same_error_is_said_once_for_a_generation() -> None:
    cluster = manifest()
    cluster["status"] = internal_error(cluster, ValueError("at 0x1"), NOW).status
    assert internal_error(cluster, ValueError("at 0x2"), NOW).status == cluster["status"]
    assert internal_error(cluster, ValueError("at 0x2"), NOW).events == ()
    assert internal_error(cluster, TypeError("at 0x2"), NOW).status != cluster["status"]
    cluster["metadata"]["generation"] = 2
    assert internal_error(cluster, ValueError("at 0x2"), NOW).status["observedGeneration"] == 2


def test_an_endless_text_is_cut() -> None:
    assert len(described(ValueError("x\n" * 10_000))) < 450
