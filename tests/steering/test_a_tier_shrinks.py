"""Engines leave one by one, after patience, and only when everything that speaks for it is known."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from heterollm_controllers.metrics.readings import History
from tests.steering.world import World


def grown() -> World:
    """A small tier of four, raised a moment ago, whose queue has gone."""
    world = World()
    world.small.queue = 100.0
    world.tick()
    world.small.serving, world.small.queue = 4, 0.0
    return world


def test_only_after_patience_and_one_at_a_time() -> None:
    world = grown()
    world.seconds(290)
    assert world.target() == 4
    world.seconds(20)
    assert (world.target(), world.scaling().reason) == (3, "FewerSuffice")
    world.seconds(120)
    assert world.target() == 3, "the engine is still there"
    world.small.serving, world.small.leaving = 3, 1
    world.seconds(120)
    assert world.target() == 3, "it drains"
    world.small.leaving = 0
    world.seconds(10)
    assert world.target() == 2
    world.small.serving = 2
    world.seconds(3600)
    assert world.target() == 2, "never below min"


def test_the_last_tier_is_more_patient() -> None:
    world = World()
    world.large.first_token_ms = 300.0
    world.tick()
    world.large.serving, world.large.first_token_ms = 3, 50.0
    world.seconds(1780)
    assert world.target("large") == 3
    world.seconds(40)
    assert world.target("large") == 2


def silent(world: World) -> None:
    """Most engines say nothing."""
    world.small.silent = 3


def gap(world: World) -> None:
    """A minute of the window is unknown."""
    world.small.history = History((1.0,) * 60, (*(2.0,) * 58, float("nan"), 2.0), (*(0.1,) * 58, float("nan"), 0.1))


def busy(world: World) -> None:
    """Four engines are needed for what came within the window."""
    world.small.history = History((1.0,) * 60, (*(2.0,) * 57, 180.0, 2.0, 2.0), (0.1,) * 60)


def old(world: World) -> None:
    """What Prometheus has of the engines is old."""
    world.small.age = 120.0


def away(world: World) -> None:
    """Prometheus does not answer."""
    world.failure = "Prometheus does not answer"


@pytest.mark.parametrize("hindrance", [silent, gap, busy, old, away])
def test_what_keeps_an_engine(hindrance: Callable[[World], None]) -> None:
    world = grown()
    hindrance(world)
    world.seconds(1200)
    assert world.target() == 4


@pytest.mark.parametrize(("queue", "target"), [(8.5, 4), (7.5, 3)])
def test_a_queue_of_each_engine_keeps_engines_until_it_is_well_below_its_limit(queue: float, target: int) -> None:
    """A fifth below, or an engine would come and go."""
    world = World({"small": {"scaling": {"queuePerEngine": 10}}})
    world.small.queue = 100.0
    world.tick()
    world.small.serving, world.small.queue = 4, queue
    world.seconds(320)
    assert world.target() == target


def test_a_silent_engine_is_taken_to_have_as_much_to_do_as_the_others() -> None:
    world = grown()
    world.small.silent, world.small.history = 1, History((1.0,) * 60, (140.0,) * 60, (0.1,) * 60)
    world.seconds(900)
    assert world.target() == 4, "140 seen at three engines are 187 at four, with head-room four engines' work"
    world.small.silent = 0
    world.seconds(60)
    assert world.target() == 3


def test_not_while_a_fallback_is_in_force() -> None:
    world = grown()
    world.small.failed = 5.0
    world.seconds(305)
    assert (world.state, world.target()) == ("Escalated", 4)


def test_nor_for_a_while_after_it() -> None:
    """What a tier had to do while another answered for it says little of what it has to do now."""
    world = grown()
    world.small.failed = 5.0
    world.tick()
    world.small.failed = 0.0
    while world.state == "Escalated":
        world.small.tried = world.small.offered * world.shares["small"] / 100
        world.tick()
    world.seconds(285)
    assert world.target() == 4
    world.seconds(30)
    assert world.target() == 3
