"""R5: tiers whose models read a request differently are warned of, or refused where the spec says so."""

from __future__ import annotations

from typing import Any

import pytest

from tests.core.builders import api_tier
from tests.core.world import World

QWEN = api_tier("small", model={"id": "Qwen/Qwen3-4B"})
QWEN_LARGE = api_tier("large", model={"id": "Qwen/Qwen3-32B"}, engine={"gpus": 2})
LLAMA = api_tier("large", model={"id": "meta-llama/Llama-3.1-70B-Instruct"}, engine={"gpus": 4})
UNKNOWN = api_tier("large")


def condition(world: World, kind: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = [item for item in world.status["conditions"] if item["type"] == kind]
    return found[0]


def looked_at(*tiers: dict[str, Any], **more: Any) -> World:
    world = World(*tiers, **more)
    for _ in range(6):
        world.tick()
    return world


@pytest.mark.parametrize("second", [QWEN_LARGE, UNKNOWN], ids=["same family", "unknown"])
def test_tiers_of_one_family_and_of_unknown_models_are_compatible(second: dict[str, Any]) -> None:
    found = condition(looked_at(QWEN, second), "TiersCompatible")
    assert (found["status"], found["reason"]) == ("True", "SameFamily")


def test_a_mismatch_is_a_warning_and_the_cluster_runs() -> None:
    world = looked_at(QWEN, LLAMA)
    found = condition(world, "TiersCompatible")
    assert (found["status"], found["reason"]) == ("False", "FamilyMismatch")
    assert "tokenizer" in found["message"]
    assert "meta-llama/Llama-3.1-70B-Instruct" in found["message"]
    assert condition(world, "Accepted")["status"] == "True"


def test_a_mismatch_is_refused_where_the_spec_says_so() -> None:
    accepted = condition(looked_at(QWEN, LLAMA, familyCheck="Refuse"), "Accepted")
    assert (accepted["status"], accepted["reason"]) == ("False", "FamilyMismatch")


def test_a_refused_change_of_family_leaves_every_engine_as_it_is() -> None:
    world = looked_at(QWEN, QWEN_LARGE, familyCheck="Refuse")
    before = {key: value["metadata"]["uid"] for key, value in world.server.objects.items() if key[0] == "Pod"}
    world.change(QWEN, LLAMA, familyCheck="Refuse")
    for _ in range(6):
        world.tick()
    after = {key: value["metadata"]["uid"] for key, value in world.server.objects.items() if key[0] == "Pod"}
    assert condition(world, "Accepted")["reason"] == "FamilyMismatch"
    assert before == after != {}


def test_nothing_is_compared_where_the_spec_says_so() -> None:
    found = condition(looked_at(QWEN, LLAMA, familyCheck="Off"), "TiersCompatible")
    assert (found["status"], found["reason"]) == ("True", "NotChecked")
