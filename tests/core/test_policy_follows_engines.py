"""The published policy routes to exactly the engines that serve, and lets go of an engine before it goes."""

from __future__ import annotations

import pytest

from tests.core.builders import api_tier
from tests.core.world import World, settled


def version(world: World) -> int:
    return int(world.policy()["version"])


def address(world: World, pod: str) -> str:
    text = world.server.objects["Pod", pod]["status"]["podIP"]
    assert isinstance(text, str)
    return text


def test_nothing_is_routed_before_it_serves() -> None:
    world = World(api_tier())
    world.tick()
    assert world.routed_addresses() == set()
    world.settle()
    assert world.routed_addresses() == {address(world, "demo-small-0-0")}


def test_only_leaders_are_routed() -> None:
    world = settled(api_tier(engine={"gpus": 32}))
    assert world.routed_addresses() == {address(world, "demo-small-0-0")}


def test_version_grows_only_with_the_content() -> None:
    world = settled(api_tier(replicas={"min": 2}))
    before = version(world)
    world.ticks(5)
    world.restart_operator()
    world.server.edit("Service", "demo", lambda live: live["spec"].update(selector={}))
    world.ticks(5)
    assert version(world) == before == world.status["routing"]["policyVersion"]
    world.change(api_tier(replicas={"min": 2}), routing={"complexityThreshold": "0.2"})
    world.settle()
    assert version(world) == before + 1


def test_crashed_engine_is_unrouted_until_it_serves_again() -> None:
    world = settled(api_tier(replicas={"min": 2}))
    gone = address(world, "demo-small-1-0")
    world.controllers.crash("demo-small-1-0")
    world.reconcile_until_quiet()
    assert gone not in world.routed_addresses()
    world.settle()
    assert gone in world.routed_addresses()


def test_pod_that_is_being_deleted_is_unrouted_at_once() -> None:
    world = settled(api_tier(replicas={"min": 2}))
    gone = address(world, "demo-small-1-0")
    world.server.delete("Pod", "demo-small-1-0")
    world.reconcile_until_quiet()
    assert gone not in world.routed_addresses()
    world.settle()
    assert len(world.routed_addresses()) == 2


@pytest.mark.parametrize("change", ["scale in", "roll out", "remove the tier"])
def test_engine_is_unrouted_in_the_same_look_that_drains_it(change: str) -> None:
    """The world checks that no routed engine is ever deleted; here it is seen to have happened."""
    world = settled(api_tier(replicas={"min": 2}), api_tier("large"))
    before = world.server.writes[:]
    match change:
        case "scale in":
            world.change(api_tier(replicas={"min": 1}), api_tier("large"))
        case "roll out":
            world.change(api_tier(replicas={"min": 2}, engine={"image": "new"}), api_tier("large"))
        case _:
            world.change(api_tier(replicas={"min": 2}))
    world.settle()
    writes = world.server.writes[len(before) :]
    drains = [number for number, write in enumerate(writes) if write.startswith("delete StatefulSet")]
    assert drains
    for number in drains:
        assert "apply ConfigMap demo-policy" in writes[:number]


def test_engine_kept_by_a_refused_change_stays_routed_under_its_old_name() -> None:
    world = settled(api_tier())
    policy = world.policy()
    world.change(api_tier(model={"id": "org/other"}, accelerator={"type": "X1000"}))
    world.settle()
    assert world.policy() == policy


def test_leader_without_an_address_is_not_routed() -> None:
    world = settled(api_tier())
    pod = world.server.objects["Pod", "demo-small-0-0"]
    world.server.update_status(pod, {"conditions": [{"type": "Ready", "status": "True"}]})
    world.reconcile_until_quiet()
    assert world.routed_addresses() == set()
