"""Rules propose how many engines a tier should have; the plan says whose proposal won, and why the others lost."""

from __future__ import annotations

from heterollm_controllers.capacity.plan import CapacityPlan
from tests.steering.world import World


def plan(world: World) -> CapacityPlan:
    return world.last.capacity["small"]


def lost(world: World) -> dict[str, tuple[int, str]]:
    return {str(item.proposal.reason): (item.proposal.engines, item.why) for item in plan(world).lost}


QUIET = {"scaling": {"forecast": False}}


def test_nothing_is_wanted_of_a_tier_at_ease() -> None:
    world = World({"small": QUIET})
    world.tick()
    assert (plan(world).won, plan(world).lost) == (None, ())


def test_the_highest_proposal_wins_and_the_others_say_why_they_lost() -> None:
    world = World({"small": QUIET})
    world.small.queue, world.small.kv_use = 5000.0, 0.9
    world.tick()
    won = plan(world).won
    assert won is not None
    assert (won.reason, won.engines) == ("QueueLong", 4)
    assert lost(world) == {"KvCacheFull": (3, "QueueLong wants 4")}


def test_the_record_says_what_lost() -> None:
    world = World({"small": QUIET})
    world.small.queue, world.small.kv_use = 5000.0, 0.9
    world.tick()
    [decision] = world.last.decisions
    assert decision.message.startswith("2 to 4 engines: ")
    assert decision.message.endswith("; KvCacheFull wanted 3, but QueueLong wants 4")


def test_a_proposal_beyond_the_bounds_loses_to_the_spec() -> None:
    world = World({"small": {**QUIET, "replicas": {"min": 2, "max": 3}}})
    world.small.queue = 5000.0
    world.tick()
    won = plan(world).won
    assert won is not None
    assert (won.engines, world.target()) == (4, 3)
    world.tick()
    assert plan(world).won is None
    assert lost(world) == {"QueueLong": (4, "the spec allows 3")}


def test_a_fixed_number_leaves_no_choice() -> None:
    world = World({"small": {"replicas": {"min": 1, "fixed": 2}}})
    world.small.queue = 5000.0
    world.tick()
    assert (plan(world).won, plan(world).lost, world.target()) == (None, (), 2)
