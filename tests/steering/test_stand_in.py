"""A tier gets no more of another's requests than it has room for, and a resting tier answers when it fails."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from heterollm_controllers.api.signals import ClusterSignal
from heterollm_controllers.api.v1alpha1.fallback import Fallback
from heterollm_controllers.api.v1alpha1.status import EscalationStatus
from heterollm_controllers.metrics.readings import Readings
from heterollm_controllers.metrics.tier_metrics import MeasuredTier, tier_metrics
from heterollm_controllers.traffic.stand_in import StandIns
from tests.steering.world import START, TICK, TierWorld, World

NAMES = ["small", "large"]


def kept(world: World) -> int:
    """Share of its requests that the small tier gets."""
    return world.shares["small"]


def record(world: World) -> EscalationStatus:
    """Level 2 of the small tier."""
    return world.fallback.escalations[0]


def failed(offered: float = 5.0, **settings: Any) -> World:
    """The small tier fails; two large engines that do 10 requests/s each have 5 of their own."""
    world = World(fallback=settings)
    world.small.offered = world.small.tried = world.small.failed = offered
    world.tick()
    assert world.state == "Escalated"
    return world


def mended(world: World) -> None:
    """The small tier answers what it gets."""
    world.small.failed, world.small.tried = 0.0, world.small.offered * kept(world) / 100


@pytest.mark.parametrize(("offered", "share"), [(11.0, 0), (22.0, 50), (110.0, 90)])
def test_what_the_stand_in_has_no_room_for_stays(offered: float, share: int) -> None:
    """It is filled to 80 % of its rate: 16 requests/s, of which 11 are left."""
    assert kept(failed(offered)) == share


def test_with_no_room_all_stay_and_it_is_told() -> None:
    world = World()
    world.large.offered, world.small.failed = 30.0, 5.0
    world.tick()
    assert (world.state, kept(world)) == ("Escalated", 100)
    assert "large has room for 0 % of them" in world.fallback.message


def test_a_stand_in_whose_queue_is_long_can_do_what_it_does_and_no_more() -> None:
    world = World()
    world.small.offered = world.small.failed = 5.0
    # Nobody knows its rate. It answers 7 requests/s while many wait, and 5 are its own.
    world.large.rate, world.large.queue, world.large.answered = None, 40.0, 7.0
    world.tick()
    assert kept(world) == 60


def test_of_a_stand_in_that_nobody_knows_all_is_asked_until_its_queue_is_long() -> None:
    world = World()
    world.large.rate = None
    world.small.offered = world.small.failed = 500.0
    world.tick()
    assert kept(world) == 0
    world.small.failed = world.small.tried = 0.0
    world.large.queue, world.large.answered = 100.0, 25.0
    world.tick()
    assert (record(world).phase, kept(world)) == ("Holding", 96)


def test_a_tier_that_keeps_a_share_is_seen_to_work_before_its_rest_is_over() -> None:
    world = failed(22.0)
    began = world.now
    mended(world)
    while record(world).phase == "Holding":
        world.tick()
    assert timedelta(seconds=45) <= world.now - began <= timedelta(seconds=60), "figures of its new share alone"
    assert (world.state, kept(world)) == ("Normal", 100)


def test_a_tier_that_keeps_a_share_and_goes_on_failing_fails_again_when_its_rest_is_over() -> None:
    world = failed(22.0)
    world.seconds(290)
    assert world.said.count("TierEscalated small") == 1
    world.seconds(15)
    assert world.said.count("TierEscalated small") == 2
    assert (record(world).hold_seconds, len(record(world).reopened)) == (600, 1)


def test_a_trial_that_begins_is_not_over_in_the_same_moment() -> None:
    """Though the share that the tier kept tells much: an operator that restarts must not decide once more."""
    world = failed(22.0, failedPercent=90)
    world.small.tried = world.small.offered * kept(world) / 100
    world.small.failed = 0.7 * world.small.tried  # not failing, and not well enough to be seen to work
    while record(world).phase == "Holding":
        world.tick()
    assert record(world).phase == "Probing"
    world.now -= timedelta(seconds=TICK)
    before = world.fallback
    assert world.tick().decisions == ()
    assert world.fallback == before
    world.tick()
    assert record(world).phase == "Watching"


def test_a_stand_in_that_has_grown_takes_more() -> None:
    world = failed(22.0)
    world.seconds(60)
    assert kept(world) == 50
    world.large.serving, world.large.serving_since = 3, world.now
    world.tick()
    assert kept(world) == 14


def test_a_stand_in_that_is_well_again_takes_all_that_it_has_room_for() -> None:
    world = failed()
    world.large.failed = 3.0
    world.tick()
    assert (record(world).phase, kept(world)) == ("Holding", 100)
    world.large.failed = 0.0
    world.tick()
    assert (record(world).phase, kept(world)) == ("Holding", 0)


@pytest.mark.parametrize(("failing", "share"), [(False, 0), (True, 50)])
def test_two_tiers_that_fail_together_share_the_room_of_their_stand_in(failing: bool, share: int) -> None:
    tiers = [TierWorld(name, offered=5.5, tried=5.5) for name in ("small", "medium", "large")]
    small, medium, large = tiers
    small.failed, medium.failed, large.offered = 5.5, 5.5 if failing else 0.0, 10.5
    rates = {tier.name: tier.rates() for tier in tiers}
    readings = Readings(START, tiers=rates, cluster={ClusterSignal.ROUTERS: 1.0})
    seen = [MeasuredTier(tier.tier_state(), tier_metrics(tier.tier_state(), readings, START)) for tier in tiers]
    assert StandIns(Fallback(), seen, {}).of("small").kept == share, "the large tier has room for 5.5 requests/s"


def test_a_resting_tier_is_asked_at_once_when_its_stand_in_is_lost() -> None:
    world = failed()
    mended(world)
    world.seconds(120)
    assert (record(world).phase, kept(world)) == ("Holding", 0)
    world.large.lost, world.large.serving = True, 0
    world.tick()
    assert (record(world).phase, kept(world)) == ("Probing", 100)
    mended(world)
    world.tick()
    assert record(world).phase == "Watching"
    world.tick()
    assert world.fallback.degraded == "small"
    assert world.shares == {"small": 100, "large": 0}


def test_half_is_asked_of_it_as_soon_as_its_stand_in_fails_some() -> None:
    world = failed()
    mended(world)
    world.seconds(120)
    # Of what the large tier is to answer in the other's place, too: it may have no requests of its own.
    world.large.offered = world.large.tried = 0.0
    world.small.diverted, world.small.diverted_failed = 5.0, 0.6
    world.tick()
    assert (record(world).phase, kept(world)) == ("Probing", 50)
    world.small.diverted_failed = 3.0
    world.tick()
    assert kept(world) == 100


def test_half_is_asked_of_it_as_soon_as_its_stand_in_is_full() -> None:
    world = failed()
    mended(world)
    world.seconds(120)
    # It answers all, but what waits takes it 4 s.
    world.large.queue, world.large.tried = 20.0, 10.0
    world.tick()
    assert (record(world).phase, kept(world)) == ("Probing", 50)


def test_a_tier_that_has_just_failed_is_not_tried_for_that() -> None:
    world = failed()
    world.large.failed = 3.0
    world.tick()
    assert (record(world).phase, kept(world)) == ("Holding", 100), "nobody works: as without a fallback"
    world.seconds(200)
    assert record(world).reopened == ()


def test_requests_do_not_go_back_to_a_stand_in_of_which_nothing_is_known() -> None:
    world = failed()
    world.large.offered = world.large.tried = 0.0
    world.small.diverted = world.small.diverted_failed = 5.0
    world.tick()
    assert kept(world) == 100
    # It gets none any more, so that nothing tells how it does.
    world.small.diverted = world.small.diverted_failed = 0.0
    world.seconds(100)
    assert kept(world) == 100


def test_a_tier_that_gave_all_back_and_fails_is_given_time_while_nothing_is_known_of_its_stand_in() -> None:
    world = failed()
    mended(world)
    world.seconds(120)
    world.large.offered = world.large.tried = 0.0
    world.small.diverted, world.small.diverted_failed = 5.0, 3.0
    world.tick()
    assert (record(world).phase, kept(world)) == ("Probing", 100)
    world.small.diverted = world.small.diverted_failed = 0.0
    world.small.tried = world.small.failed = 5.0
    world.seconds(280)
    assert (record(world).phase, kept(world)) == ("Probing", 100)
    world.seconds(60)
    assert (record(world).phase, kept(world)) == ("Holding", 0)


def test_level_3_leaves_what_the_last_tier_has_no_room_for() -> None:
    world = World()
    world.cluster[ClusterSignal.POLICY_REFUSED] = 17.0
    world.small.offered = world.small.tried = 22.0
    world.tick()
    assert (world.state, kept(world)) == ("PureLarge", 50)
    assert "large has room for 50 % of them" in world.last.decisions[0].message
    world.small.offered = world.small.tried = 110.0
    world.tick()
    assert (world.state, kept(world)) == ("PureLarge", 90)
    del world.cluster[ClusterSignal.POLICY_REFUSED]
    world.seconds(1_000)
    assert world.state == "Normal"


def test_level_3_does_not_begin_while_the_last_tier_has_no_room() -> None:
    world = World()
    world.cluster[ClusterSignal.POLICY_REFUSED] = 17.0
    world.large.offered = world.large.tried = 16.0
    world.seconds(60)
    assert world.state == "Normal"


def test_level_3_does_not_end_in_the_moment_in_which_its_share_changes() -> None:
    """Though all has been well for nearly long enough: an operator that restarts must not decide once more."""
    world = World(fallback={"cleanSeconds": 300})
    world.cluster[ClusterSignal.POLICY_REFUSED] = 17.0
    world.small.offered = world.small.tried = 22.0
    world.tick()
    del world.cluster[ClusterSignal.POLICY_REFUSED]
    world.seconds(300)
    world.large.offered = world.large.tried = 20.0  # no room at all
    world.tick()
    assert (world.state, kept(world)) == ("PureLarge", 100)
    world.now -= timedelta(seconds=TICK)
    assert world.tick().decisions == ()
    world.seconds(330)
    assert world.state == "Normal"
