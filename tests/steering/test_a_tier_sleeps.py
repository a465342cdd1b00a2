"""A tier of `min: 0` has no engines while nobody asks for it."""

from __future__ import annotations

from tests.steering.world import World


def test_what_requests_met_while_it_slept_is_no_failure_of_its_engines() -> None:
    world = World({"small": {"replicas": {"min": 0, "max": 6}}})
    world.small.serving = 0
    world.small.failed = world.small.tried = 50.0
    world.tick()
    world.small.serving, world.small.serving_since = 1, world.now
    world.seconds(30)
    assert world.state == "Normal"
    world.seconds(10)
    assert world.state == "Escalated", "they still fail, and that is its own"
