"""A migration goes on as its gates allow, back as far as there is room, and nowhere on what nobody knows."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest

from heterollm_controllers.api.signals import ClusterSignal
from heterollm_controllers.metrics.readings import History
from heterollm_controllers.metrics.side_minutes import Side
from heterollm_controllers.simulation.policy_under_test import restored
from tests.steering.migrating import MINUTE, Migrating, Truth


def at(percent: int, seed: int = 1, **migration: Any) -> Migrating:
    """A migration whose first step is this one, a minute after it began."""
    world = Migrating(seed, **{"steps": [percent, 100][: 1 + (percent < 100)], **migration})
    world.minutes(2)
    assert (world.record.percent, world.share) == (percent, percent)
    return world


def actions(world: Migrating) -> list[str]:
    """What was decided so far."""
    return [text.partition(" ")[0] for text in world.said]


# --- modes ------------------------------------------------------------------------------------------------------------


def test_without_a_migration_each_tier_gets_its_requests() -> None:
    world = at(30)
    world.spec = world.spec.model_copy(update={"migration": None})
    world.tick()
    assert (world.memory.migration, world.share) == (None, 100)
    assert world.said[-1].startswith("MigrationEnded")
    world.tick(3)
    assert world.said[-1].startswith("MigrationEnded")
    assert actions(world).count("MigrationEnded") == 1


def test_observe_sends_everything_to_the_last_tier_and_counts() -> None:
    world = Migrating(mode="Observe")
    world.minutes(70)
    assert (world.record.state, world.record.percent, world.share) == ("Observing", 0, 0)
    assert world.record.small.requests == 0
    assert world.record.control.requests > 300_000
    assert actions(world) == ["MigrationObserves"]


def test_it_goes_through_its_steps_and_is_complete() -> None:
    world = Migrating(stepSeconds=900)
    seen = []
    for _ in range(90):
        world.minutes()
        seen.append(world.share)
    assert [share for place, share in enumerate(seen) if place == 0 or share != seen[place - 1]] == [
        10,
        30,
        60,
        80,
        100,
    ]
    assert world.record.state == "Complete"
    assert actions(world) == ["MigrationAdvances"] * 5 + ["MigrationComplete"]
    writes = world.writes
    world.minutes(200)
    assert world.writes == writes, "nothing is counted once it is complete"


def test_a_step_takes_its_time_however_clear_the_evidence() -> None:
    world = at(10, stepSeconds=3600)
    since = world.record.since
    world.until_decided()
    assert world.record.percent == 100
    assert world.record.since - since >= timedelta(seconds=3600)


def test_hold_keeps_the_share_whatever_the_gates_say_and_auto_goes_on_with_what_was_counted() -> None:
    world = at(30, stepSeconds=600)
    world.set(mode="Hold")
    world.small_side = Truth(failed=0.01)
    world.minutes(65)
    assert (world.record.state, world.share, world.gate("Errors").state) == ("Holding", 30, "Failed")
    world.set(mode="Auto")
    world.minutes(2)
    assert actions(world)[-2:] == ["MigrationResumes", "MigrationRollsBack"]


def test_rollback_by_hand_and_a_new_beginning() -> None:
    world = at(60)
    world.set(mode="Rollback")
    world.minutes()
    assert (world.record.state, world.share) == ("RolledBack", 0)
    world.set(mode="Auto")
    world.minutes()
    assert (world.record.state, world.share) == ("Advancing", 60)


def test_after_a_gate_failed_only_a_user_begins_again() -> None:
    world = at(30)
    world.small_side = Truth(failed=0.02)
    world.until_decided()
    assert (world.record.state, world.share) == ("RolledBack", 0)
    assert "Errors Failed" in world.record.message
    world.small_side = Truth()
    world.minutes(300)
    assert world.share == 0
    world.set(mode="Observe")
    world.minutes()
    world.set(mode="Auto")
    world.minutes()
    assert world.share == 30


def test_steps_may_be_edited_on_the_way() -> None:
    world = at(30, steps=[30, 60, 100], stepSeconds=600)
    world.set(steps=[20, 50, 100])
    world.until_decided()
    assert world.share == 50
    world.set(steps=[100])
    world.until_decided()
    assert (world.share, world.record.state) == (100, "Advancing")


# --- gates ------------------------------------------------------------------------------------------------------------


def test_slow_answers_roll_back_but_not_those_of_the_time_in_which_tiers_grow() -> None:
    world = at(30)
    world.small_side = Truth(slow=0.2)
    world.minutes(9)
    assert world.share == 30, "it has just got more requests"
    world.minutes(5)
    assert world.share == 0
    assert "FirstByte Failed" in world.record.message


def test_answers_in_one_piece_do_not_open_the_gate_of_the_first_byte() -> None:
    world = at(30, stepSeconds=600)
    for column in world.columns:
        column.clear()
    for _ in range(30):
        world.minutes()
        world.columns[-1] = {Side("small", False, "whole"): 1800.0, Side("small", True, "whole"): 4200.0}
    assert (world.share, world.record.state) == (30, "Holding")
    assert "FirstByte Undecided: 0 of 0" in world.record.message
    world.set(gates={"firstByteMs": 0})
    world.minutes()
    assert world.share == 100


def test_a_slow_last_tier_does_not_keep_a_fast_one_back() -> None:
    world = at(30, stepSeconds=1200)
    world.control_side = Truth(slow=0.9)
    world.until_decided()
    assert world.share == 100


def test_a_saving_that_nobody_knows_holds() -> None:
    world = at(30, stepSeconds=600, gates={"costReductionPercent": 30}, onInconclusive="Rollback")
    world.minutes(30)
    assert (world.share, world.record.state) == (30, "Holding")
    assert world.gate("Cost").state == "Undecided"
    assert "none is known" in world.gate("Cost").message
    world.saving = 20.0
    world.minutes(5)
    assert world.share == 30
    world.saving = math.nan
    world.minutes(5)
    assert world.share == 30
    world.saving = 31.0
    world.minutes()
    assert world.share == 100


@pytest.mark.parametrize(("policy", "share"), [("Hold", 30), ("Rollback", 0)])
def test_too_few_requests_are_inconclusive(policy: str, share: int) -> None:
    world = Migrating(per_minute=20, steps=[30, 100], onInconclusive=policy)
    world.minutes(65)
    assert world.share == share
    assert "Errors Undecided" in world.record.message


def test_what_is_inconclusive_is_said_once_and_goes_on_when_enough_is_known() -> None:
    world = Migrating(per_minute=200, steps=[30, 100], stepSeconds=600)
    world.minutes(40)
    assert actions(world) == ["MigrationAdvances", "MigrationInconclusive"]
    world.minutes(30)
    assert (world.share, actions(world)[-1]) == (100, "MigrationAdvances")


def test_a_gate_tells_how_many_requests_are_needed_and_when_that_will_be() -> None:
    world = Migrating(per_minute=200, steps=[30, 100], stepSeconds=86_400)
    world.minutes(64)
    gate = world.gate("Errors")
    assert gate.requests_needed is not None
    assert gate.expected_at is not None
    passed = 3_810 - world.record.small.requests
    assert abs(gate.requests_needed - passed) < 20
    assert abs(gate.expected_at - (world.record.updated + passed * MINUTE / 60)) < 2 * MINUTE


# --- what is not known ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["down", "empty", "nan", "negative"])
def test_nothing_is_promoted_on_what_nobody_knows(how: str) -> None:
    world = at(10, stepSeconds=600)
    for _ in range(90):
        if how == "down":
            world.prometheus, world.cluster = False, {}
        elif how == "empty":
            world.prometheus = False
        world.minutes()
        if how == "nan":
            world.columns[-1] = dict.fromkeys(world.columns[-1], math.nan)
        elif how == "negative":
            world.columns[-1] = {}
    assert world.share == 10


def test_nothing_is_promoted_when_prometheus_goes_away_at_the_end_of_a_step() -> None:
    world = at(10, stepSeconds=1800)
    world.minutes(20)
    world.prometheus = False
    world.minutes(60)
    assert world.share == 10
    world.prometheus = True
    world.minutes(3)
    assert world.share == 100, "what was counted before still counts"
    assert world.said[-1].count("Passed") == 2


def test_it_does_not_begin_while_nothing_is_known_of_the_routers() -> None:
    world = Migrating()
    world.cluster = {}
    world.minutes(10)
    assert (world.share, world.record.state) == (0, "Holding")
    assert "nothing is known of the routers" in world.record.message
    world.cluster = {ClusterSignal.ROUTERS: 2.0}
    world.minutes()
    assert world.share == 10


def test_minutes_that_prometheus_missed_are_left_out_and_told() -> None:
    world = at(30, stepSeconds=86_400)
    world.minutes(20)
    world.prometheus = False
    world.minutes(10)
    world.prometheus = True
    world.minutes(40)
    assert world.record.missing_minutes == 10
    assert 1_800 * 48 <= world.record.small.requests <= 1_800 * 55


def test_an_operator_that_was_away_for_an_hour_has_missed_nothing() -> None:
    world, away = at(30, stepSeconds=86_400), at(30, stepSeconds=86_400)
    world.minutes(130)
    away.minutes(50)
    for _ in range(60):
        away.columns.append(away._minute())
        away.now += MINUTE
    away.memory = restored(away.memory)
    away.minutes(20)
    away.minutes(60)
    world.minutes(60)
    assert away.record.missing_minutes == 0
    assert abs(away.record.small.requests - world.record.small.requests) <= 1_800 * 60


def test_restarts_and_one_write_an_hour_lose_nothing() -> None:
    world, steady = at(30, stepSeconds=86_400), at(30, stepSeconds=86_400)
    writes = world.writes
    for _ in range(600):
        world.minutes()
        world.memory = restored(world.memory)
        steady.minutes()
    assert world.record == steady.record
    assert 8 <= world.writes - writes <= 10
    behind = 600 * 1_800 - world.record.small.requests
    assert 0 <= behind <= 63 * 1_800


def test_prometheus_that_lost_its_past_takes_nothing_away() -> None:
    world = at(30, stepSeconds=86_400)
    world.minutes(65)
    before = world.record.small.requests
    world.columns.clear()
    world.minutes(70)
    assert world.record.small.requests >= before + 1_800 * 50


# --- with the fallback ------------------------------------------------------------------------------------------------


def escalate(world: Migrating) -> None:
    """The small tier fails until level 2 opens."""
    world.small.tried, world.small.failed = 5.0, 5.0
    world.minutes()
    assert world.state == "Escalated"
    world.small.tried, world.small.failed = 5.0, 0.0


def test_while_a_fallback_is_in_force_nothing_counts_and_no_step_is_taken() -> None:
    world = at(30, stepSeconds=1800)
    world.minutes(10)
    escalate(world)
    assert world.share == 0
    counted = world.record.small.requests
    world.small_side = Truth(failed=0.5)
    for _ in range(30):
        world.minutes()
        if world.state == "Normal":
            break
    assert world.record.percent == 30
    world.small_side = Truth()
    world.minutes(100)
    assert world.record.percent == 100
    assert counted < 1_800 * 12


def test_what_a_fallback_was_for_counts() -> None:
    world = at(30, stepSeconds=86_400)
    world.minutes(10)
    world.small_side = Truth(failed=0.3)
    escalate(world)
    world.minutes(5)
    assert world.record.state == "RolledBack"
    world.minutes(40)
    assert (world.state, world.share) == ("Normal", 0)


def test_the_lower_share_of_both_is_in_force() -> None:
    world = at(30)
    escalate(world)
    world.minutes(7)
    assert world.fallback.escalations[0].phase != "Holding"
    assert world.share <= min(30, world.fallback.escalations[0].percent)


def test_while_the_last_tier_fails_the_others_answer_for_themselves() -> None:
    world = Migrating(mode="Observe")
    world.minutes(3)
    assert world.share == 0
    world.large.tried = world.large.failed = 5.0
    world.minutes(2)
    assert world.last.traffic.shares == {"small": 100, "large": 0}


def test_a_tier_without_engines_that_serve_gets_nothing() -> None:
    world = at(30)
    world.small.serving, world.small.starting = 0, 2
    world.minutes()
    assert (world.share, world.record.percent) == (0, 30)
    world.small.serving, world.small.starting = 2, 0
    world.minutes()
    assert world.share == 30


# --- engines ----------------------------------------------------------------------------------------------------------


def test_it_goes_back_only_as_far_as_the_last_tier_has_room() -> None:
    world = at(100)
    # Two large engines of 10 requests/s, filled to 80 %: room for 11 beside 5 of its own.
    world.small.offered = world.small.tried = 22.0
    world.set(mode="Rollback")
    world.minutes()
    assert (world.record.state, world.share) == ("RollingBack", 50)
    assert "room for 50 %" in world.record.message
    assert world.target("large") == 3, "27 requests/s will be its own"
    world.large.serving, world.large.serving_since = 3, world.now
    world.minutes(2)
    assert world.share < 20
    world.large.serving = 4
    world.minutes(2)
    assert (world.record.state, world.share) == ("RolledBack", 0)


@pytest.mark.parametrize(("mode", "end", "share"), [("Observe", "Observing", 0), ("Auto", "Advancing", 10)])
def test_on_a_cluster_that_serves_it_begins_no_faster_than_there_is_room(mode: str, end: str, share: int) -> None:
    world = Migrating(mode=mode)
    world.small.offered = world.small.tried = 22.0
    world.minutes()
    assert (world.record.state, world.share) == ("RollingBack", 50)
    assert world.target("large") == 3
    world.large.serving = 4
    world.minutes(3)
    assert (world.record.state, world.share) == (end, share)


def test_hold_on_a_cluster_that_serves_changes_nothing() -> None:
    world = Migrating(mode="Hold")
    world.minutes(5)
    assert (world.record.state, world.share) == ("Holding", 100)


def test_a_tier_that_sleeps_is_not_woken_up_at_share_0_but_by_the_first_step() -> None:
    world = Migrating(mode="Observe")
    world.spec = world.spec.model_copy(
        update={"tiers": (_with_min(world, 0), *world.spec.tiers[1:])},
    )
    world.small.serving, world.small.tried, world.small.offered = 0, 0.0, 5.0
    world.small.history = History((0.0,) * 60, (0.0,) * 60, (0.0,) * 60)
    world.minutes(40)
    assert world.target() == 0
    world.set(mode="Auto")
    world.minutes()
    assert (world.target(), world.share, world.record.percent) == (1, 0, 10)


def test_tiers_keep_engines_for_what_they_get() -> None:
    world = Migrating(mode="Observe")
    world.small.offered = 40.0
    world.small.serving, world.small.tried = 4, 0.0
    world.minutes(30)
    assert world.target() == 2, "four would be needed for all of its requests"
    assert world.target("large") == 5, "45 requests/s at 10 for each engine"


def _with_min(world: Migrating, fewest: int) -> Any:
    tier = world.spec.engine_tiers[0]
    return tier.model_copy(update={"replicas": tier.replicas.model_copy(update={"min": fewest})})
