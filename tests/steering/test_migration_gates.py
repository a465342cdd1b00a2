"""A gate opens when a limit is seen to be kept, closes when it is not, and errs no more often than it says."""

from __future__ import annotations

import os
from statistics import median
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heterollm_controllers.traffic.migration_gates import Counted, judge, requests_needed
from heterollm_controllers.traffic.side_totals import bursts
from tests.steering.migrating import Migrating, Truth

RUNS = int(os.environ.get("MIGRATIONS", "40"))
"""Virtual migrations of each kind. `make simulate-migrations` runs 2,000."""
NOBODY = Counted(0, 0)

totals = st.tuples(st.integers(0, 10**12), st.floats(0, 1)).map(
    lambda drawn: Counted(drawn[0], int(drawn[0] * drawn[1]))
)


def test_without_requests_nothing_is_known() -> None:
    verdict = judge(0.001, NOBODY, NOBODY)
    assert (verdict.passes, verdict.fails) == (False, False)
    assert verdict.evidence == verdict.against == pytest.approx(1.0)


@pytest.mark.parametrize(("requests", "failed", "passes", "fails"), [
    (3_700, 0, False, False),
    (3_900, 0, True, False),
    (3_900, 1, False, False),
    (9_000, 2, True, False),
    (900, 4, False, False),
    (900, 6, False, True),
])  # fmt: skip
def test_what_is_enough_at_a_limit_of_a_thousandth(requests: int, failed: int, passes: bool, fails: bool) -> None:
    verdict = judge(0.001, Counted(requests, failed), NOBODY)
    assert (verdict.passes, verdict.fails) == (passes, fails)


def test_a_side_is_only_blamed_if_it_is_worse_than_the_other() -> None:
    small = Counted(3_000, 15)
    assert judge(0.001, small, Counted(27_000, 9)).blamed
    assert not judge(0.001, small, Counted(27_000, 135)).blamed
    assert not judge(0.001, small, Counted(27_000, 500)).blamed
    assert judge(0.001, small, NOBODY).blamed, "there is nobody else to blame"


def test_failures_that_come_together_count_as_one() -> None:
    assert judge(0.001, Counted(20_000, 0), NOBODY).passes
    assert not judge(0.001, Counted(20_000, 0), Counted(180_000, 180, bursts=20)).passes
    assert judge(0.001, Counted(3_000, 20, bursts=20), NOBODY).fails, "bursts of its own do not excuse a side"
    assert not judge(0.001, Counted(3_000, 20), Counted(27_000, 20, bursts=20)).fails


def test_bursts_are_told_from_busy_hours() -> None:
    steady, busy = [(600, 6)] * 60, [(60 * (place % 12 + 1), 6 * (place % 12 + 1) // 10) for place in range(60)]
    together = [(600, 60 if place % 10 == 0 else 0) for place in range(60)]
    assert of_minutes(steady) == 1.0
    assert of_minutes(busy) == 1.0, "the same share, of more requests"
    assert 35 < of_minutes(together) < 60
    assert 50 < of_minutes(together * 24) < 60
    assert of_minutes([(600, 0)] * 9 + [(600, 2)]) < 1.25, "two failures may come together by chance"


def of_minutes(minutes: list[tuple[int, int]]) -> float:
    """How many bad ones come at a time."""
    requests, bad = (sum(column) for column in zip(*minutes, strict=True))
    return bursts(len(minutes), requests, bad, sum(found * found / count for count, found in minutes))


def test_requests_needed_are_those_that_open_the_gate() -> None:
    small = Counted(2_000, 1)
    needed = requests_needed(0.001, small, NOBODY)
    assert needed is not None
    share = 1 / 2_000

    def later(further: float) -> Counted:
        return Counted(2_000 + further, 1 + share * further)

    assert judge(0.001, later(needed), NOBODY).passes
    assert not judge(0.001, later(needed - 2), NOBODY).passes
    assert requests_needed(0.001, Counted(1_000, 1), NOBODY) is None, "at this rate it never opens"
    assert requests_needed(0.001, Counted(9_000, 0), NOBODY) == 0.0


@given(st.floats(1e-5, 0.5), totals, totals, st.floats(1, 1e6), st.floats(1, 1e6))
def test_any_totals_have_a_verdict(limit: float, small: Counted, control: Counted, own: float, other: float) -> None:
    verdict = judge(limit, small._replace(bursts=own), control._replace(bursts=other))
    assert 0 <= verdict.evidence <= 1e9
    assert 0 <= verdict.against <= 1e9
    assert not (verdict.passes and verdict.fails and small.bad * control.bursts > limit * small.requests * 2)
    needed = requests_needed(limit, small, control)
    assert needed is None or needed >= 0


def first_step(seed: int, small: Truth, control: Truth, most: int = 60, **migration: Any) -> Migrating:
    """A migration whose first step may take an hour, of 600 requests a minute; looked at every minute."""
    world = Migrating(seed, stepSeconds=60, gates={"firstByteMs": 0}, **migration)
    world.small_side, world.control_side = small, control
    world.minutes()
    for _ in range(most):
        if world.minutes().percent != 10:
            break
    return world


def share_of(runs: list[Migrating], percent: int) -> float:
    """The share of migrations that ended there."""
    return sum(world.record.percent == percent for world in runs) / len(runs)


# The bars are those of 2,000 runs; few runs get the room that chance needs (three standard deviations).
SLACK = 3 * (0.05 * 0.95 / RUNS) ** 0.5 if RUNS < 1_000 else 0.0


def test_at_the_limit_few_are_promoted() -> None:
    runs = [first_step(seed, Truth(0.001), Truth(0.0005)) for seed in range(RUNS)]
    print(f"promoted at the limit: {share_of(runs, 30):.1%}, sent back: {share_of(runs, 0):.1%}")
    assert share_of(runs, 30) <= 0.05 + SLACK


def test_far_below_the_limit_nearly_all_are_promoted() -> None:
    runs = [first_step(seed, Truth(0.0003), Truth(0.0003)) for seed in range(RUNS)]
    print(f"promoted at 0.03 %: {share_of(runs, 30):.1%}")
    assert share_of(runs, 30) >= 0.95 - SLACK


@pytest.mark.parametrize("percent", [10, 30, 60, 80, 100])
def test_far_above_the_limit_all_go_back_soon(percent: int) -> None:
    needed = []
    for seed in range(max(RUNS // 5, 20)):
        world = Migrating(seed, per_minute=round(10_000 / percent), steps=[percent, 100][: 1 + (percent < 100)])
        world.small_side, world.control_side = Truth(0.005), Truth(0.0003)
        world.minutes()
        world.requests = 0
        world.until_decided()
        assert world.record.state == "RolledBack"
        needed.append(world.requests)
    print(f"sent back at 0.5 %, at a share of {percent} %, after {median(needed):.0f} requests (median)")
    assert median(needed) <= 1_500


def test_failures_in_bursts_promote_few_where_there_is_time() -> None:
    """Twenty at a time, which is a burst in 20,000 requests: four hours are 144,000 of them."""
    promoted = 0
    for seed in range(max(RUNS // 10, 10)):
        world = Migrating(seed, stepSeconds=14_400, gates={"firstByteMs": 0})
        world.small_side, world.control_side = Truth(0.001, at_a_time=20), Truth(0.001, at_a_time=20)
        world.minutes(1 + 241)
        promoted += world.record.percent == 30
    print(f"promoted at the limit, failures twenty at a time: {promoted} of {max(RUNS // 10, 10)}")
    assert promoted <= max(RUNS // 10, 10) * 0.3


@pytest.mark.parametrize("failed", [0.005, 0.05])
def test_where_both_sides_fail_most_hold(failed: float) -> None:
    runs = [first_step(seed, Truth(failed), Truth(failed), most=20) for seed in range(RUNS)]
    print(f"both sides fail {failed:.1%}: sent back {share_of(runs, 0):.1%}")
    assert share_of(runs, 10) >= 0.75
    assert share_of(runs, 30) == 0.0


def test_that_both_sides_fail_is_said() -> None:
    world = first_step(1, Truth(0.05), Truth(0.05), most=0)
    world.minutes(62)
    gate = world.gate("Errors")
    assert (world.record.percent, world.record.state, gate.state) == (10, "Holding", "BothFail")
    assert "at the last tier" in gate.message
