"""Level 3: the last tier answers everything, and the others come back only after long without failure."""

from __future__ import annotations

from itertools import pairwise

from heterollm_controllers.api.signals import ClusterSignal
from tests.steering.world import World

NAMES = ["small", "large"]


def kept(world: World) -> int:
    """Share of its requests that the small tier gets."""
    return world.shares["small"]


def failing_again(world: World, times: int) -> None:
    """Fail now, and as often again after the rest."""
    for _ in range(times + 1):
        world.small.tried = world.small.failed = 5.0
        world.tick()
        world.small.tried = world.small.failed = 0.0
        while world.state == "Escalated" and world.fallback.escalations[0].phase == "Holding":
            world.tick()


def test_it_opens_when_a_tier_failed_again_three_times_in_an_hour() -> None:
    world = World(fallback={"holdSeconds": 60, "longestHoldSeconds": 120})
    failing_again(world, 2)
    assert world.state == "Escalated"
    failing_again(world, 0)
    assert (world.state, kept(world)) == ("PureLarge", 0)
    assert "failed again 3 times in 3600 s" in world.fallback.message
    assert world.said[-1] == "PureLarge cluster"


def test_it_does_not_open_when_the_failures_are_far_apart() -> None:
    world = World(fallback={"holdSeconds": 60, "longestHoldSeconds": 120, "reopeningsSeconds": 200})
    failing_again(world, 6)
    assert world.state == "Escalated"


def test_it_opens_when_a_router_does_not_take_the_policy() -> None:
    world = World()
    world.cluster[ClusterSignal.POLICY_REFUSED] = 17.0
    world.tick()
    assert (world.state, kept(world)) == ("PureLarge", 0)
    assert "version 17" in world.fallback.message


def test_it_opens_when_the_scorer_fails_but_not_for_one_clients_requests() -> None:
    world = World()
    world.cluster[ClusterSignal.UNDECIDED] = 1.0
    world.seconds(60)
    assert world.state == "Normal", "10 requests/s are decided"
    world.small.offered = world.large.offered = 0.0
    world.tick()
    assert world.state == "PureLarge"


def test_the_way_back() -> None:
    world = World()
    world.cluster[ClusterSignal.POLICY_REFUSED] = 17.0
    world.seconds(300)
    del world.cluster[ClusterSignal.POLICY_REFUSED]
    seen = [(0, 0)]
    for second in range(5, 2000, 5):
        world.small.tried = world.small.offered * kept(world) / 100
        world.tick()
        if kept(world) != seen[-1][1]:
            seen.append((second, kept(world)))
    times, steps = zip(*seen, strict=True)
    assert steps == (0, 10, 30, 60, 80, 100)
    assert times[1] == 905, "a quarter of an hour from the first tick without failure"
    assert all(30 <= later - earlier <= 60 for earlier, later in pairwise(times[1:]))
    assert (world.state, world.fallback.escalations, world.fallback.clean_since) == ("Normal", (), None)


def test_a_failure_on_the_way_back_starts_over() -> None:
    world = World()
    world.cluster[ClusterSignal.POLICY_REFUSED] = 17.0
    world.tick()
    del world.cluster[ClusterSignal.POLICY_REFUSED]
    while kept(world) < 30:
        world.small.tried = world.small.offered * kept(world) / 100
        world.tick()
    world.small.tried = world.small.failed = 1.0
    world.tick()
    assert (world.state, kept(world)) == ("PureLarge", 0)
    world.small.failed = 0.0
    world.seconds(890)
    assert kept(world) == 0


def test_status_does_not_change_while_nothing_is_decided() -> None:
    world = World()
    world.cluster[ClusterSignal.POLICY_REFUSED] = 17.0
    world.tick(2)
    memory = world.memory
    world.seconds(600)
    assert world.memory == memory


def test_if_the_large_tier_fails_the_others_answer() -> None:
    world = World()
    world.cluster[ClusterSignal.POLICY_REFUSED] = 17.0
    world.tick()
    del world.cluster[ClusterSignal.POLICY_REFUSED]
    world.large.lost, world.large.serving = True, 0
    world.tick()
    assert (world.state, world.fallback.degraded) == ("Escalated", "small")
    assert world.shares == {"small": 100, "large": 0}


def test_it_does_not_begin_while_the_last_tier_fails_itself() -> None:
    world = World()
    world.cluster[ClusterSignal.POLICY_REFUSED] = 17.0
    world.large.failed = 5.0
    world.seconds(120)
    assert world.said == ["TierEscalated large"]
    world.large.failed = 0.0
    world.seconds(900)
    assert world.state == "PureLarge"


def test_a_tier_that_never_works_again_reaches_it_with_the_defaults() -> None:
    world = World()
    world.small.tried = world.small.failed = 5.0
    world.seconds(50 * 60)
    assert world.state == "PureLarge"


def test_a_last_tier_that_failed_again_is_no_reason_for_it() -> None:
    world = World(fallback={"holdSeconds": 60, "longestHoldSeconds": 60})
    for _ in range(5):
        world.large.tried = world.large.failed = 5.0
        world.tick()
        assert (world.state, world.fallback.degraded) == ("Escalated", "small")
        world.large.failed = 0.0
        while world.fallback.escalations[0].phase != "Watching":
            world.large.tried = world.large.offered * world.shares["large"] / 100
            world.tick()
    assert len(world.fallback.escalations[0].reopened) >= 3
    assert "PureLarge cluster" not in world.said


def test_it_stays_though_the_last_tier_fails_while_no_other_serves() -> None:
    world = World()
    world.cluster[ClusterSignal.POLICY_REFUSED] = 17.0
    world.tick()
    world.small.serving, world.large.failed = 0, 5.0
    world.tick()
    assert world.state == "PureLarge"
    world.small.serving = 2
    world.tick()
    assert (world.state, world.fallback.degraded) == ("Escalated", "small")


def test_tiers_that_nobody_asks_get_their_requests_back_as_well() -> None:
    world = World()
    world.cluster[ClusterSignal.POLICY_REFUSED] = 17.0
    world.tick()
    del world.cluster[ClusterSignal.POLICY_REFUSED]
    world.small.offered = world.small.tried = 0.0
    world.seconds(900 + 5 * 310)
    assert world.state == "Normal"


def test_since_when_it_is_in_force_is_told_through_the_way_back() -> None:
    world = World()
    world.cluster[ClusterSignal.POLICY_REFUSED] = 17.0
    world.tick()
    begun = world.fallback.since
    del world.cluster[ClusterSignal.POLICY_REFUSED]
    while kept(world) < 30:
        world.small.tried = world.small.offered * kept(world) / 100
        world.tick()
    assert (world.state, world.fallback.since) == ("PureLarge", begun)
