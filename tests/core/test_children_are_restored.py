"""Children that somebody edits or deletes become what they were; what belongs to others stays."""

from __future__ import annotations

from typing import Any

import pytest

from heterollm_controllers.api import names
from tests.core.builders import api_tier
from tests.core.fake_server import Body
from tests.core.world import World, settled


def two_tiers() -> World:
    return settled(api_tier(), api_tier("large", engine={"gpus": 16}))


_KINDS = [
    ("ConfigMap", "demo-policy"),
    ("Deployment", "demo-router"),
    ("NetworkPolicy", "demo-engines"),
    ("PodDisruptionBudget", "demo-small-engines"),
    ("Role", "demo-router"),
    ("RoleBinding", "demo-router"),
    ("Service", "demo"),
    ("Service", "demo-large-engines"),
    ("ServiceAccount", "demo-engines"),
    ("StatefulSet", "demo-small-0"),
    ("StatefulSet", "demo-large-0"),
]


def wanted_part(world: World, kind: str, name: str) -> dict[str, Any]:
    """The object without what a new incarnation must have anew."""
    body = world.server.objects[kind, name]
    own = ("uid", "resourceVersion", "generation", "creationTimestamp")
    return {
        **{key: value for key, value in body.items() if key not in ("metadata", "status")},
        "metadata": {key: value for key, value in body["metadata"].items() if key not in own},
    }


@pytest.mark.parametrize(("kind", "name"), _KINDS)
def test_deleted_child_is_made_again(kind: str, name: str) -> None:
    world = two_tiers()
    before = wanted_part(world, kind, name)
    world.server.delete(kind, name)
    world.settle()
    assert wanted_part(world, kind, name) == before
    assert world.ready()
    assert len(world.serving()) == len(world.serving("large")) == 1


def test_deleted_revision_is_made_again_and_restarts_no_engine() -> None:
    world = two_tiers()
    before = world.uids()
    for item in world.server.of_kind("ControllerRevision"):
        world.server.delete("ControllerRevision", item["metadata"]["name"])
    world.settle()
    assert len(world.server.of_kind("ControllerRevision")) == 2
    assert world.uids() == before


@pytest.mark.parametrize(("kind", "name"), _KINDS)
def test_stripped_child_is_restored(kind: str, name: str) -> None:
    """Its labels, annotations and one field of its body are gone."""
    world = two_tiers()
    before, pods = wanted_part(world, kind, name), world.uids()

    def strip(live: Body) -> None:
        kept = {names.CLUSTER: live["metadata"]["labels"][names.CLUSTER]}
        live["metadata"]["labels"] = kept
        live["metadata"].pop("annotations")
        for field in ("spec", "data", "rules", "subjects", "automountServiceAccountToken"):
            if isinstance(live.get(field), dict):
                live[field].pop(sorted(live[field])[-1])
            elif field in live:
                live.pop(field)

    world.server.edit(kind, name, strip)
    world.settle()
    assert wanted_part(world, kind, name) == before
    assert world.uids() == pods
    assert world.ready()


@pytest.mark.parametrize("edit", ["image", "replicas", "argument", "engine label", "tier label"])
def test_edited_engine_is_restored_and_not_restarted(edit: str) -> None:
    world = two_tiers()
    before, pods = wanted_part(world, "StatefulSet", "demo-small-0"), world.uids()

    def change(live: Body) -> None:
        container = live["spec"]["template"]["spec"]["containers"][0]
        match edit:
            case "image":
                container["image"] = "other"
            case "replicas":
                live["spec"]["replicas"] = 3
            case "argument":
                container["args"] = [*container["args"], "--mine"]
            case "engine label":
                live["metadata"]["labels"][names.ENGINE] = "other"
            case _:
                live["metadata"]["labels"].pop(names.TIER)

    world.server.edit("StatefulSet", "demo-small-0", change)
    world.settle()
    assert wanted_part(world, "StatefulSet", "demo-small-0") == before
    assert world.uids() == pods


def test_restoring_is_not_a_transition() -> None:
    """Nothing was decided, so nothing but the child is written."""
    world = two_tiers()
    before = len(world.server.writes)
    world.server.edit("Service", "demo", lambda live: live["spec"].update(selector={"app": "theirs"}))
    world.settle()
    assert world.server.writes[before:] == ["apply Service demo"]


def test_revision_that_somebody_relabelled_still_counts() -> None:
    world = two_tiers()
    before = world.uids()
    for item in world.server.of_kind("ControllerRevision"):
        name = item["metadata"]["name"]

        def strip(live: Body) -> None:
            live["metadata"]["labels"] = {names.CLUSTER: "demo"}
            live["metadata"].pop("annotations")

        world.server.edit("ControllerRevision", name, strip)
    world.settle()
    assert world.uids() == before
    for item in world.server.of_kind("ControllerRevision"):
        assert item["metadata"]["labels"][names.TIER] in ("small", "large")


def test_labels_annotations_and_items_of_others_are_left_alone() -> None:
    world = two_tiers()

    def add(live: Body) -> None:
        live["metadata"]["labels"]["theirs"] = "1"
        live["metadata"]["annotations"]["theirs"] = "2"

    for kind, name in _KINDS:
        world.server.edit(kind, name, add)
    sidecar = {"name": "mesh", "image": "mesh"}
    world.server.edit(
        "Deployment", "demo-router", lambda live: live["spec"]["template"]["spec"]["containers"].append(sidecar)
    )
    before = list(world.server.writes)
    world.settle()
    assert world.server.writes == before
    world.server.edit("Service", "demo", lambda live: live["spec"].update(selector={}))
    world.settle()
    service = world.server.objects["Service", "demo"]
    assert service["metadata"]["labels"]["theirs"] == "1"
    assert service["metadata"]["annotations"]["theirs"] == "2"
    assert service["spec"]["selector"]


def test_field_no_longer_wanted_is_removed() -> None:
    world = settled(api_tier(), routing={"service": {"annotations": {"a": "1", "b": "2"}}})
    world.change(api_tier(), routing={"service": {"annotations": {"a": "1"}}})
    world.settle()
    annotations = world.server.objects["Service", "demo"]["metadata"]["annotations"]
    assert (annotations.get("a"), annotations.get("b")) == ("1", None)


@pytest.mark.parametrize("version", ["", "abc", "-3"])
def test_mangled_policy_is_published_anew(version: str) -> None:
    world = two_tiers()
    files = {key: text for key, text in world.policy().items() if key.startswith("eds-")}
    world.server.edit("ConfigMap", "demo-policy", lambda live: live.update(data={"version": version}))
    world.settle()
    assert files.keys() <= world.policy().keys()
    assert world.ready()


def test_key_that_somebody_adds_to_the_policy_costs_nothing() -> None:
    world = two_tiers()
    before = list(world.server.writes)
    world.server.edit("ConfigMap", "demo-policy", lambda live: live["data"].update(theirs="1"))
    world.settle()
    assert world.server.writes == before
