"""Engines that never came to serve go together once nobody needs them, and never keep others from leaving."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from heterollm_controllers.metrics.readings import History
from tests.steering.world import World


def short(serving: int = 3, target: int = 8, tier: dict[str, Any] | None = None, **state: Any) -> World:
    """A small tier that was raised to 8 engines of which some do not come to serve, and the need for them has gone."""
    world = World({"small": {"replicas": {"min": 2, "max": 12}, **(tier or {})}})
    world.small.history = History((target * 10.0 / 1.1,) * 10, (1.0,) * 10, (0.1,) * 10)
    world.small.serving = serving
    world.tick()
    assert world.target() == target
    world.small.history = History((9.0,) * 60, (2.0,) * 60, (0.1,) * 60)
    world.small.starting = target - serving
    for name, value in state.items():
        setattr(world.small, name, value)
    return world


@pytest.mark.parametrize("without_node", [True, False], ids=["no node", "starting, or broken"])
def test_they_go_together_once_they_were_not_needed_for_long(without_node: bool) -> None:
    world = short()
    world.small.unschedulable_since = world.now if without_node else None
    world.seconds(290)
    assert world.target() == 8
    world.seconds(10)
    assert (world.target(), world.scaling().reason) == (3, "FewerSuffice")
    assert "8 to 3 engines" in world.scaling().message
    assert "5 do not serve" in world.scaling().message
    world.small.starting = 0
    world.seconds(60)
    assert world.target() == 2, "those that serve leave one by one, as ever"
    assert world.scaling().limited is None


def test_what_is_needed_stays() -> None:
    world = short(unschedulable_since=None)
    world.small.history = History((46.0,) * 60, (2.0,) * 60, (0.1,) * 60)
    world.seconds(600)
    assert world.target() == 6, "46 per second with head-room, at 10 per engine"
    world.seconds(3600)
    assert world.target() == 6


def test_they_stay_while_the_last_minutes_needed_them() -> None:
    world = short()
    world.small.history = History((*(9.0,) * 56, 70.0, *(9.0,) * 3), (2.0,) * 60, (0.1,) * 60)
    world.seconds(1200)
    assert world.target() == 8


def test_what_a_rule_wishes_for_stays_until_its_figures_are_well_below_the_limit() -> None:
    world = short()
    world.small.queue = 50.0
    world.seconds(1200)
    assert world.target() == 5, "150 wait at three engines: two more"
    world.small.starting, world.small.queue = 2, 27.0
    world.seconds(600)
    assert world.target() == 5, "81 wait: below the limit, and not by enough"
    world.small.queue = 26.0
    world.tick()
    assert world.target() == 3
    assert [word for word in world.said if word.startswith("Scaled")] == ["ScaledUp small", *["ScaledDown small"] * 2]


def silent(world: World) -> None:
    """Most engines say nothing."""
    world.small.silent = 2


def gap(world: World) -> None:
    """A minute of the window is unknown."""
    world.small.history = History((1.0,) * 60, (*(2.0,) * 58, float("nan"), 2.0), (*(0.1,) * 58, float("nan"), 0.1))


def old(world: World) -> None:
    """What Prometheus has of the engines is old."""
    world.small.age = 120.0


def away(world: World) -> None:
    """Prometheus does not answer."""
    world.failure = "Prometheus does not answer"


def resting(world: World) -> None:
    """A fallback is in force."""
    world.small.failed = 5.0


def others_answer(world: World) -> None:
    """Its requests are answered elsewhere, and so do not show in its history."""
    world.small.offered = 75.0


@pytest.mark.parametrize("hindrance", [silent, gap, old, away, resting, others_answer])
def test_what_keeps_them(hindrance: Callable[[World], None]) -> None:
    world = short()
    hindrance(world)
    world.seconds(1200)
    assert world.target() == 8


def test_a_share_of_memory_says_nothing_of_engines_that_have_just_died() -> None:
    """Nobody knows how much an engine can do, and five of eight die: their work is about to come to the others."""
    world = short(serving=8, concurrency=None, rate=None, starting=0)
    world.small.history = History((9.0,) * 60, (9.0,) * 60, (0.6,) * 60)
    world.seconds(1200)
    world.small.serving, world.small.starting = 3, 5
    world.seconds(60)
    assert world.target() == 8


def test_when_the_need_returns_the_tier_grows_at_once() -> None:
    world = short()
    world.small.unschedulable_since = world.now
    world.seconds(305)
    assert world.target() == 3
    world.small.starting = 0
    world.small.queue = 100.0
    world.tick()
    assert world.target() == 5


def test_a_tier_that_is_short_stays_limited_by_what_it_still_wants() -> None:
    """Of six wanted three find no node; that is said once, whatever else goes."""
    world = short()
    world.small.unschedulable_since = world.now
    world.small.history = History((44.0,) * 60, (2.0,) * 60, (0.1,) * 60)
    world.seconds(1200)
    assert (world.target(), world.scaling().limited) == (6, "NoNode")
    assert world.said.count("ScalingLimited small") == 1


# --- tiers of which no engine serves


def woken(**state: Any) -> World:
    """A tier that may have no engines was asked for, and its first engine does not come to serve."""
    world = World({"small": {"replicas": {"min": 0, "max": 4}}})
    world.small.history = History((0.0,) * 60, (), ())
    world.small.serving, world.small.offered = 0, 0.5
    world.tick()
    assert world.target() == 1
    world.small.offered, world.small.starting = 0.0, 1
    for name, value in state.items():
        setattr(world.small, name, value)
    return world


def test_an_engine_without_a_node_goes_when_nobody_asks_any_more_and_comes_back_for_a_request() -> None:
    world = woken()
    world.small.unschedulable_since = world.now
    world.seconds(300)
    assert world.target() == 1
    world.seconds(15)
    assert (world.target(), world.state) == (0, "Normal")
    world.small.starting, world.small.offered = 0, 0.02
    world.tick()
    assert world.target() == 1


def test_it_stays_while_requests_come_now_and_then() -> None:
    world = woken()
    world.small.unschedulable_since = world.now
    for _ in range(30):
        world.small.offered = 0.02
        world.seconds(60)
        world.small.offered = 0.0
        world.seconds(60)
    assert [word for word in world.said if word.startswith("Scaled")] == ["ScaledUp small"]


def test_one_that_starts_slowly_is_given_half_an_hour() -> None:
    world = woken()
    world.seconds(1790)
    assert world.target() == 1
    world.seconds(15)
    assert world.target() == 0


def test_it_stays_while_nobody_knows_whether_it_is_asked_for() -> None:
    world = woken()
    world.small.unschedulable_since = world.now
    world.failure = "Prometheus does not answer"
    world.seconds(3600)
    assert world.target() == 1


# --- engines that others need not wait for


def test_a_broken_engine_for_standby_keeps_no_other() -> None:
    world = short(serving=8, starting=1)
    world.seconds(300)
    assert world.target() == 7


@pytest.mark.parametrize(
    ("state", "target"),
    [({}, 8), ({"without_node": 200}, 8), ({"without_node": 310}, 7), ({"age": 1000}, 8), ({"age": 2000}, 7)],
    ids=["starting", "no node yet", "no node for long", "starting slowly", "broken"],
)
def test_a_roll_out_keeps_the_number_unless_it_is_stuck(state: dict[str, int], target: int) -> None:
    world = short(serving=8, rolling=True, starting=1)
    world.seconds(600)
    assert world.target() == 8
    if "without_node" in state:
        world.small.unschedulable_since = world.now - timedelta(seconds=state["without_node"])
    if "age" in state:
        world.small.created = world.now - timedelta(seconds=state["age"])
    world.tick()
    assert world.target() == target
