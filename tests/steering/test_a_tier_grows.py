"""Every rule adds engines by itself, counts those on their way, and says from which metrics."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from heterollm_controllers.metrics.readings import History
from heterollm_controllers.metrics.tier_metrics import tier_metrics
from tests.steering.world import START, World


@pytest.mark.parametrize(
    ("metrics", "target", "reason"),
    [
        ({"queue": 50.0}, 2, None),
        ({"queue": 50.5}, 4, "QueueLong"),
        ({"kv_use": 0.81}, 3, "KvCacheFull"),
        ({"serving": 4, "kv_use": 1.0}, 5, "KvCacheFull"),
        ({"first_token_ms": 5000.0}, 2, None),
        ({"queue": 5000.0, "kv_use": 0.9}, 4, "QueueLong"),
    ],
)
def test_rules_of_a_small_tier(metrics: dict[str, Any], target: int, reason: str | None) -> None:
    world = World()
    for name, value in metrics.items():
        setattr(world.small, name, value)
    world.tick()
    assert world.target() == target
    assert (world.scaling().reason if reason else None) == reason


def test_the_queue_of_each_engine_counts_too() -> None:
    world = World({"small": {"scaling": {"queuePerEngine": 10}}})
    world.small.queue = 10.5
    world.tick()
    assert (world.target(), world.scaling().reason) == (3, "QueuePerEngineLong")


def test_the_last_tier_grows_when_its_first_token_takes_longer_than_200_ms() -> None:
    world = World()
    world.large.first_token_ms = 201.0
    world.tick()
    assert (world.target("large"), world.scaling("large").reason) == (3, "FirstTokenSlow")
    assert "201 ms on average, more than 200" in world.scaling("large").message
    assert world.target("small") == 2


def test_both_tiers_are_looked_at_every_tick() -> None:
    """An elif would let a long queue of the small tier hide a slow large one."""
    world = World()
    world.small.queue, world.large.first_token_ms = 100.0, 300.0
    world.tick()
    assert (world.target("small"), world.target("large")) == (4, 3)


def test_engines_on_their_way_are_capacity() -> None:
    world = World()
    world.small.queue = 100.0
    world.tick()
    world.small.starting = 2
    world.seconds(300)
    assert world.target() == 4
    assert world.said.count("ScaledUp small") == 1


def test_a_rule_fires_again_only_by_figures_from_after_the_newest_engine_began() -> None:
    world = World()
    world.small.queue = 100.0
    world.tick()
    world.small.serving, world.small.serving_since = 4, world.now
    world.seconds(25)
    assert world.target() == 4
    world.seconds(10)
    assert world.target() == 6


def test_engines_that_join_from_standby_are_given_time_to_help() -> None:
    world = World()
    world.small.queue = 100.0
    world.tick()
    world.small.serving = 4
    world.seconds(25)
    assert world.target() == 4
    world.seconds(10)
    assert world.target() == 6


def test_a_forecast_raises_before_the_traffic_comes() -> None:
    world = World()
    # From 10 to 18.6 requests/s of the 20 that two engines do: not yet too many.
    rising = tuple(10.0 + 0.45 * minute for minute in range(20))
    world.small.history = History(rising, (2.0,) * 20, (0.1,) * 20)
    world.tick()
    assert (world.target(), world.scaling().reason) == (3, "ForecastHigher")
    assert world.scaling().forecast is not None
    off = World({"small": {"scaling": {"forecast": False}}})
    off.small.history = world.small.history
    off.tick()
    assert off.target() == 2


def test_one_engine_without_metrics_does_not_blind_the_tier() -> None:
    world = World()
    world.small.serving, world.small.silent, world.small.queue = 3, 1, 60.0
    world.tick()
    assert world.target() == 5
    assert "small-0" in world.last.missing


def test_figures_of_engines_that_are_gone_never_count() -> None:
    world = World()
    world.small.serving, world.small.queue = 8, 30.0
    gone = world.readings()
    world.small.serving = 2
    assert tier_metrics(world.small.tier_state(), gone, world.now).queue == 60.0


def test_at_its_limit_the_tier_keeps_conversations_on_their_engines() -> None:
    world = World({"small": {"replicas": {"min": 2, "max": 3}}})
    world.small.queue = 100.0
    world.tick()
    world.small.serving = 3
    world.seconds(40)
    told = world.scaling()
    assert (told.target, told.limited, told.caching) == (3, "LimitReached", "Aggressive")
    world.small.queue = 27.0  # 81 wait: below the limit, and not by enough
    world.seconds(10)
    assert world.scaling().caching == "Aggressive"
    world.small.queue = 1.0
    world.seconds(10)
    assert (world.scaling().limited, world.scaling().caching) == (None, "Normal")
    assert [word for word in world.said if "Scaling" in word] == ["ScalingLimited small", "ScalingFree small"]


def test_a_limit_holds_while_an_engine_says_nothing() -> None:
    """It may be the one where requests wait."""
    world = World({"small": {"replicas": {"min": 2, "max": 3}}})
    world.small.queue = 100.0
    world.tick()
    world.small.serving = 3
    world.seconds(40)
    world.small.queue, world.small.silent = 1.0, 1
    world.seconds(10)
    assert (world.scaling().limited, world.scaling().caching) == ("LimitReached", "Aggressive")
    world.small.silent = 0
    world.seconds(10)
    assert world.scaling().limited is None


def test_an_engine_that_finds_no_node_for_long_is_a_limit() -> None:
    world = World()
    world.small.queue = 100.0
    world.tick()
    world.small.starting, world.small.unschedulable_since = 2, START
    world.seconds(290)
    assert world.scaling().limited is None
    world.seconds(30)
    assert (world.scaling().limited, world.scaling().caching) == ("NoNode", "Aggressive")


@pytest.mark.parametrize("cluster", [{"scaling": {"paused": True}}, {}])
def test_a_pause_and_a_number_by_hand_are_honoured(cluster: dict[str, Any]) -> None:
    tiers = {} if cluster else {"small": {"replicas": {"min": 2, "max": 8, "fixed": 2}}}
    world = World(tiers, **cluster)
    world.small.queue = 1000.0
    world.seconds(600)
    assert (world.target(), world.said) == (2, [])


def test_a_number_by_hand_and_new_bounds_hold_at_once() -> None:
    world = World()
    world.spec = World({"small": {"replicas": {"min": 2, "max": 8, "fixed": 5}}}).spec
    world.tick()
    assert (world.target(), world.scaling().reason) == (5, "FixedByHand")
    world.spec = World({"small": {"replicas": {"min": 2, "max": 3}}}).spec
    world.tick()
    assert (world.target(), world.scaling().reason) == (3, "BoundsChanged")


def test_a_tier_without_engines_wakes_up() -> None:
    world = World({"small": {"replicas": {"min": 0, "max": 3}}})
    world.small.serving, world.small.offered, world.small.history = 0, 0.0, History()
    world.seconds(60)
    assert world.target() == 0
    world.small.offered = 0.2
    world.tick()
    assert (world.target(), world.scaling().reason) == (1, "WakesUp")


def test_time_from_the_breach_to_the_decision_is_one_tick() -> None:
    """The two scrapes before it are Prometheus' part: see the query of the queue."""
    world = World()
    world.seconds(60)
    world.small.queue = 60.0
    before = world.now
    world.tick()
    assert world.now - before == timedelta(seconds=5)
    assert world.target() == 4
