"""Level 2: a failing tier rests, is tried with a few requests, and gets its share back step by step."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from heterollm_controllers.metrics.readings import History
from heterollm_controllers.metrics.tier_metrics import MeasuredTier, TierMetrics
from heterollm_controllers.traffic.fallback import fall_back
from tests.steering.world import START, World

NAMES = ["small", "large"]


def kept(world: World) -> int:
    """Share of its requests that the small tier gets."""
    return world.shares["small"]


def escalated(**settings: Any) -> World:
    """A world whose small tier has just failed, and works again."""
    world = World(fallback=settings)
    world.small.failed = 5.0
    world.tick()
    assert world.state == "Escalated"
    world.small.failed, world.small.tried = 0.0, 0.0
    return world


@pytest.mark.parametrize(
    ("tried", "failed", "slow", "state"),
    [
        (0.6, 0.6, 0.0, "Normal"),  # 18 requests in 30 s
        (0.7, 0.34, 0.0, "Normal"),  # 49 % of 21
        (0.7, 0.36, 0.0, "Escalated"),
        (10.0, 0.0, 5.1, "Escalated"),
        (10.0, 3.0, 1.4, "Normal"),  # 3 failed, and a fifth of the other 7 was slow
        (10.0, 3.0, 2.1, "Escalated"),  # and three tenths of the other 7
        (0.0, 0.0, 0.0, "Normal"),
    ],
)
def test_it_opens_by_twenty_requests_half_of_which_failed_or_were_slow(
    tried: float, failed: float, slow: float, state: str
) -> None:
    world = World()
    world.small.tried, world.small.failed, world.small.slow = tried, failed, slow
    world.tick()
    assert world.state == state
    assert kept(world) == (100 if state == "Normal" else 0)


@pytest.mark.parametrize(
    ("queue", "answered", "rate", "state"),
    [
        (200.0, 18.0, 10.0, "Normal"),  # two engines that do 9 of the 10 requests/s they can, and have 400 waiting
        (20.0, 18.0, 10.0, "Escalated"),  # two that are not even full
        (200.0, 7.0, 10.0, "Normal"),  # two that do a third of it, as they would with longer prompts
        (200.0, 0.9, 10.0, "Escalated"),  # two that do a twentieth of it: no requests are so long
        (0.0, 18.0, 10.0, "Escalated"),  # nothing waits, so that is no reason to be slow
        (200.0, 18.0, None, "Normal"),  # nobody knows what they can do, and what waits takes them 22 s
        (20.0, 18.0, None, "Escalated"),  # it takes them 2 s
    ],
)
def test_a_tier_that_is_slow_because_it_is_busy_does_not_fail(
    queue: float, answered: float, rate: float | None, state: str
) -> None:
    world = World()
    world.small.queue, world.small.rate = queue, rate
    world.small.tried = world.small.slow = answered
    world.tick()
    assert world.state == state


def test_what_waited_a_minute_ago_explains_what_is_slow_now() -> None:
    world = World()
    world.small.tried = world.small.slow = 18.0
    world.small.history = History((1.0,) * 60, (2.0,) * 58 + (200.0, 2.0), (0.1,) * 60)
    world.tick()
    assert world.state == "Normal"


def test_what_a_minute_ago_was_no_more_than_the_engines_can_do_explains_nothing() -> None:
    world = World()
    world.small.tried = world.small.slow = 18.0
    world.small.history = History((1.0,) * 60, (2.0,) * 58 + (120.0, 2.0), (0.1,) * 60)
    world.tick()
    assert world.state == "Escalated", "two engines can have 128 at once"


def test_a_cache_that_was_full_a_minute_ago_explains_what_is_slow_now() -> None:
    world = World()
    world.small.tried = world.small.slow = 18.0
    world.small.history = History((1.0,) * 60, (2.0,) * 60, (0.1,) * 58 + (0.95, 0.1))
    world.tick()
    assert world.state == "Normal"


def test_no_more_than_all_of_its_requests_fail() -> None:
    """Rates are of several queries: what failed may seem more than what was tried."""
    world = World()
    world.small.tried, world.small.failed = 5.0, 6.0
    world.tick()
    assert "100 % of 150 requests" in world.fallback.message


@pytest.mark.parametrize(
    ("kv_use", "queue", "state"), [(0.95, 0.0, "Normal"), (0.1, 3.0, "Normal"), (0.1, 1.0, "Escalated")]
)
def test_of_engines_nobody_knows_queue_and_cache_tell_whether_they_are_busy(
    kv_use: float, queue: float, state: str
) -> None:
    world = World()
    world.small.rate = world.small.concurrency = None
    world.small.tried = world.small.slow = 18.0
    world.small.kv_use, world.small.queue = kv_use, queue
    world.tick()
    assert world.state == state


def test_a_rest_outlasts_the_figures_from_before_it() -> None:
    world = World(fallback={"holdSeconds": 10})
    world.small.failed = 5.0
    world.tick()
    assert world.fallback.escalations[0].until == START + timedelta(seconds=45)


def test_it_opens_when_no_engine_is_left() -> None:
    world = World()
    world.small.lost, world.small.serving, world.small.tried = True, 0, 0.0
    world.tick()
    assert world.state == "Escalated"
    assert "none of its engines serves any more" in world.fallback.message


def test_it_does_not_open_for_a_tier_that_is_only_starting() -> None:
    world = World()
    world.small.serving, world.small.starting, world.small.failed = 0, 2, 5.0
    world.seconds(60)
    assert world.state == "Normal"


def test_it_does_not_open_when_nobody_could_answer_instead() -> None:
    world = World()
    world.large.serving, world.small.failed = 0, 5.0
    world.seconds(600)
    assert (world.state, world.said) == ("Normal", [])


def test_the_way_back() -> None:
    world = escalated()
    started = world.now
    shares_seen = [(0, kept(world))]
    for second in range(5, 4200, 5):
        world.small.tried = world.small.offered * kept(world) / 100
        world.tick()
        if kept(world) != shares_seen[-1][1]:
            shares_seen.append((second, kept(world)))
    # 5 requests/s: 7 % are 10 requests in 30 s.
    assert shares_seen == [(0, 0), (300, 7), (305, 10), (335, 50), (365, 100)]
    assert world.state == "Normal"
    assert world.now - started > timedelta(seconds=3900)
    assert world.fallback.escalations == ()
    assert world.said == [
        f"{word} small" for word in ("TierEscalated", "TierProbed", "TierReturns", "TierReturns", "TierRecovered")
    ]


def test_failing_again_doubles_the_rest_up_to_half_an_hour() -> None:
    world = World(fallback={"reopenings": 10})
    holds = []
    for _ in range(5):
        world.small.tried = world.small.failed = 5.0
        world.tick()
        record = world.fallback.escalations[0]
        assert (record.phase, record.percent) == ("Holding", 0)
        holds.append(record.hold_seconds)
        world.small.tried = world.small.failed = 0.0
        assert record.until is not None
        while world.fallback.escalations[0].phase == "Holding":
            world.tick()
        assert world.now > record.until
    assert holds == [300, 600, 1200, 1800, 1800]


def test_few_failing_probes_are_enough_to_close_again() -> None:
    world = escalated()
    world.seconds(305)
    assert world.fallback.escalations[0].phase == "Probing"
    world.small.tried = world.small.failed = 4 / 30
    world.seconds(30)
    assert world.fallback.escalations[0].phase == "Probing", "four say nothing"
    world.small.tried = world.small.failed = 5 / 30
    world.tick()
    assert (world.fallback.escalations[0].phase, world.fallback.escalations[0].hold_seconds) == ("Holding", 600)


def test_a_tier_without_requests_gets_back_as_well() -> None:
    world = escalated()
    world.small.offered = 0.0
    world.seconds(305 + 3 * 305)
    assert world.state == "Normal"


def test_it_rests_for_as_long_as_no_engine_serves() -> None:
    world = escalated()
    world.small.serving, world.small.lost = 0, True
    world.seconds(900)
    assert (world.fallback.escalations[0].phase, world.said) == ("Holding", ["TierEscalated small"])
    world.small.serving, world.small.lost = 2, False
    world.tick()
    assert world.fallback.escalations[0].phase == "Probing"


def test_a_failing_last_tier_is_answered_for_by_the_one_before_it() -> None:
    world = World()
    world.large.failed = 5.0
    world.tick()
    assert (world.state, world.fallback.degraded) == ("Escalated", "small")
    assert world.shares == {"small": 100, "large": 0}


def test_two_tiers_never_answer_for_each_other() -> None:
    world = World()
    world.small.failed = world.large.failed = 5.0
    world.seconds(600)
    assert world.said == []
    assert world.shares == {"small": 100, "large": 100}


def test_a_dry_run_only_tells() -> None:
    world = escalated(dryRun=True)
    assert (world.state, world.fallback.dry_run, kept(world)) == ("Escalated", True, 100)


def test_the_large_tier_grows_for_what_it_takes_over_and_does_not_shrink() -> None:
    world = World()
    world.small.failed, world.small.offered, world.large.offered, world.large.rate = 5.0, 40.0, 5.0, 10.0
    world.tick()
    assert (world.target("large"), world.scaling("large").reason) == (5, "TakesOver")


@pytest.mark.parametrize(("force", "share"), [("Normal", 100), ("Escalated", 0), ("PureLarge", 0)])
def test_a_state_by_hand_holds_whatever_the_figures_say(force: str, share: int) -> None:
    world = World(fallback={"force": force})
    for failed in (5.0, 0.0):
        world.small.failed = failed
        world.seconds(1000)
        assert (world.state, kept(world)) == (force, share)
    assert world.said.count("FallbackForced cluster") == 1
    world.readings_away = True
    world.seconds(60)
    assert world.state == force


@pytest.mark.parametrize("force", ["Escalated", "PureLarge"])
def test_without_the_hand_the_way_back_is_the_usual_one(force: str) -> None:
    world = World(fallback={"force": force})
    world.tick()
    world.spec = World().spec
    released = world.now
    world.tick()
    assert world.state == force
    assert world.fallback.clean_since == (released if force == "PureLarge" else None)
    world.seconds(3600)
    assert world.state == "Normal"


def test_when_only_one_tier_is_left_nothing_is_in_force_any_more() -> None:
    world = escalated()
    only = [MeasuredTier(world.large.tier_state(), TierMetrics())]
    status, said = fall_back(world.spec.fallback, only, {}, world.fallback, world.now)
    assert status is not None
    assert (status.state, status.escalations, status.degraded) == ("Normal", (), None)
    assert [action for action, *_ in said] == ["FallbackNormal"]
    assert fall_back(world.spec.fallback, only, {}, status, world.now) == (status, ())
