"""An object of a child's name that is not ours is never taken over, never deleted, and is reported."""

from __future__ import annotations

from typing import Any

import pytest

from heterollm_controllers.api import names
from tests.core.builders import api_tier
from tests.core.fake_server import Body
from tests.core.world import NAME, World, settled


def foreign(kind: str, name: str, labelled: bool) -> Body:
    labels = names.labels(NAME, "engine", tier="small", engine="demo-small-0") if labelled else {"app": "theirs"}
    own = {"spec": {"replicas": 1}} if kind == "Deployment" else {"data": {"theirs": "1"}}
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "labels": labels}, **own}


_PLACES = [
    ("Service", "demo"),
    ("ConfigMap", "demo-policy"),
    ("Deployment", "demo-router"),
    ("ServiceAccount", "demo-engines"),
    ("PodDisruptionBudget", "demo-small-engines"),
]


@pytest.mark.parametrize("labelled", [True, False], ids=["with our labels", "with its own labels"])
@pytest.mark.parametrize(("kind", "name"), _PLACES)
def test_foreign_object_is_reported_and_left_alone(kind: str, name: str, labelled: bool) -> None:
    world = World(api_tier())
    theirs = foreign(kind, name, labelled)
    world.server.create(theirs)
    world.ticks(8)
    live = world.server.objects[kind, name]
    assert theirs.items() <= {**live, "metadata": theirs["metadata"]}.items()
    assert live["metadata"]["labels"] == theirs["metadata"]["labels"]
    assert f"apply {kind} {name}" not in world.server.writes
    assert f"delete {kind} {name}" not in world.server.writes
    programmed = world.condition("Programmed")
    assert (programmed["status"], programmed["reason"]) == ("False", "NameConflict")
    assert f"{kind} {name} exists and is not ours" in programmed["message"]
    assert world.holds("Stalled")
    assert not world.ready()


@pytest.mark.parametrize(("kind", "name"), _PLACES)
def test_the_rest_is_made_and_all_is_well_once_it_is_gone(kind: str, name: str) -> None:
    world = World(api_tier())
    world.server.create(foreign(kind, name, labelled=True))
    world.ticks(8)
    others = {key for key in _PLACES if key != (kind, name)}
    assert others <= {*world.server.objects}
    assert [*world.engines()] == ["demo-small-0"]
    world.server.delete(kind, name)
    world.settle()
    assert world.ready()


@pytest.mark.parametrize(("kind", "name"), _PLACES)
def test_conflict_is_steady(kind: str, name: str) -> None:
    """It must not cost a write on every look, least of all a status that wakes the operator again."""
    world = World(api_tier())
    world.server.create(foreign(kind, name, labelled=True))
    world.ticks(8)
    before = list(world.server.writes)
    world.ticks(5)
    assert world.server.writes == before


def test_engine_name_taken_by_a_stranger() -> None:
    world = World(api_tier())
    stranger: dict[str, Any] = {"spec": {"replicas": 1, "template": {"metadata": {"labels": {}}, "spec": {}}}}
    world.server.create({**foreign("StatefulSet", "demo-small-0", labelled=False), **stranger})
    world.controllers.works = lambda pod: False
    world.reconcile_until_quiet()
    world.reconcile_until_quiet()
    assert world.condition("Programmed")["reason"] == "NameConflict"
    assert world.server.objects["StatefulSet", "demo-small-0"]["metadata"]["labels"] == {"app": "theirs"}


def test_pod_with_our_labels_is_no_engine() -> None:
    world = settled(api_tier())
    policy = world.policy()
    labels = names.labels(NAME, "engine", tier="small", engine="demo-small-0")
    status = {"podIP": "10.9.9.9", "conditions": [{"type": "Ready", "status": "True"}]}
    for name in ("debug", "demo-small-0-1", "demo-small-7-0"):
        metadata = {"name": name, "labels": labels}
        world.server.objects["Pod", name] = {
            **{"apiVersion": "v1", "kind": "Pod", "metadata": {**metadata, "uid": name}},
            "status": status,
        }
    outcome = world.outcome()
    assert (outcome.apply, outcome.delete, outcome.status) == ((), (), world.status)
    assert world.policy() == policy


def test_object_of_a_deleted_cluster_of_the_same_name_is_not_ours() -> None:
    """Garbage collection will remove it; until then it belongs to another uid."""
    world = World(api_tier())
    leftover = foreign("Service", "demo", labelled=True)
    leftover["metadata"]["ownerReferences"] = [{"kind": names.KIND, "name": NAME, "uid": "uid-of-the-former"}]
    world.server.create(leftover)
    outcome = world.outcome()
    assert ("Service", "demo") not in {(item["kind"], item["metadata"]["name"]) for item in outcome.apply}
    assert [item for item in outcome.delete if item.name == "demo"] == []
