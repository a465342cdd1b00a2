"""Which minutes count for a migration, and for what; and what its tiers are meant to do."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest

from heterollm_controllers.api.signals import TierSignal
from heterollm_controllers.api.v1alpha1.migration_status import SideTotals
from heterollm_controllers.metrics.side_minutes import MINUTE, Outcome, Side, SideMinutes
from heterollm_controllers.metrics.tier_metrics import MeasuredTier, TierMetrics
from heterollm_controllers.observation.tier_state import TierState
from heterollm_controllers.traffic.meant_load import meant_load
from heterollm_controllers.traffic.side_totals import Span, Tally, last_known, lately, tallied
from tests.steering.world import START

NAN = math.nan
UNTIL = START + 4 * MINUTE
"""The end of the last of four minutes, of which the first begins at START."""


def minutes(*, diverted: bool = False, tier: str = "small", **series: tuple[float, ...]) -> SideMinutes:
    outcomes: dict[str, Outcome] = {"ok": "ok", "slow": "slow", "whole": "whole", "failed": "failed"}
    return SideMinutes(UNTIL, {Side(tier, diverted, outcomes[name]): found for name, found in series.items()})


def tally(found: SideMinutes, begin: float = 0, end: float = 4, timed: float = 0, counted: float = 0) -> Tally:
    """With what is counted between these minutes."""
    before = Tally(SideTotals(), SideTotals(), START + counted * MINUTE)
    span = Span(START + begin * MINUTE, START + end * MINUTE, START + timed * MINUTE)
    return tallied(before, found, {"small", "middle"}, span)


def test_each_outcome_counts_for_its_side() -> None:
    found = minutes(ok=(7, 0, 8, 0), slow=(1, 0, 1, 0), whole=(1, 0, 0, 0), failed=(1, 0, 1, 0))
    after = tally(found)
    assert after.control == SideTotals()
    small = after.small
    assert (small.minutes, small.requests, small.failed, small.streamed, small.slow) == (2, 20, 2, 17, 2)
    assert small.failed_bursts == pytest.approx(1 / 10 + 1 / 10)
    assert small.slow_bursts == pytest.approx(1 / 8 + 1 / 9, abs=1e-5)
    assert (after.counted, after.missing) == (UNTIL, 0)
    diverted = tally(minutes(diverted=True, ok=(7, 0, 8, 0)))
    assert (diverted.small.requests, diverted.control.requests) == (0, 15)


def test_requests_of_other_tiers_do_not_count() -> None:
    large = tally(minutes(tier="large", ok=(5, 5, 5, 5)))
    assert (large.small, large.control, large.missing) == (SideTotals(), SideTotals(), 0)
    assert tally(minutes(tier="middle", ok=(5, 5, 5, 5))).small.requests == 20


@pytest.mark.parametrize(
    ("begin", "end", "counted", "requests"),
    [
        (0, 4, 0, 1111),
        (0, 3, 0, 111),
        (0, 3.9, 0, 111),
        (0.1, 4, 0, 1110),
        (1, 4, 0, 1110),
        (0, 4, 2, 1100),
        (1, 4, 3, 1000),
        (0, 4, 4, 0),
        (3.5, 4, 0, 0),
    ],
)
def test_whole_minutes_of_the_span_that_are_not_in_yet_count(
    begin: float, end: float, counted: float, requests: int
) -> None:
    assert tally(minutes(ok=(1, 10, 100, 1000)), begin, end, counted=counted).small.requests == requests


def test_what_is_counted_is_not_counted_again() -> None:
    found = minutes(ok=(1, 10, 100, 1000))
    span = Span(START, UNTIL, START)
    once = tally(found)
    assert tallied(once, found, {"small"}, span) == once
    in_two = tallied(tally(found, end=2), found, {"small"}, span)
    assert in_two == once


def test_first_bytes_count_once_the_tiers_have_grown() -> None:
    after = tally(minutes(ok=(90, 90, 90, 90), slow=(10, 10, 10, 10)), timed=2)
    assert (after.small.requests, after.small.streamed, after.small.slow) == (400, 200, 20)


def test_minutes_of_which_nothing_is_known_are_left_out_and_counted() -> None:
    after = tally(minutes(ok=(1, NAN, NAN, 1), failed=(NAN, NAN, NAN, 1)))
    assert (after.small.requests, after.missing, after.counted) == (3, 2, UNTIL)
    nothing = tally(minutes(ok=(NAN,) * 4))
    assert (nothing.small.requests, nothing.missing) == (0, 4)
    late = tally(minutes(ok=(1, 1, 1, 1)), begin=-10, counted=-10)
    assert late.missing == 10, "they are older than what is known"


def test_the_present_rate_and_the_last_minute_that_is_known() -> None:
    tiers = {"small"}
    assert lately(minutes(ok=(0, 60, NAN, 60)), tiers) == pytest.approx(40 / 60)
    assert lately(minutes(ok=(NAN,) * 4), tiers) is None
    assert lately(SideMinutes(), tiers) is None
    assert last_known(minutes(ok=(0, 60, 0, NAN)), tiers) == UNTIL - MINUTE
    assert last_known(minutes(ok=(NAN,) * 4), tiers) is None
    assert last_known(SideMinutes(), tiers) is None
    assert SideMinutes(UNTIL, {}).ends() == []
    assert minutes(ok=(1, 2)).ends() == [UNTIL - timedelta(seconds=60), UNTIL]


def offered(*rates: float | None) -> list[MeasuredTier]:
    """Tiers that so many requests per second want; None: nobody knows."""
    return [
        MeasuredTier(TierState(f"t{n}", ()), TierMetrics(rates=None if rate is None else {TierSignal.OFFERED: rate}))
        for n, rate in enumerate(rates)
    ]


@pytest.mark.parametrize(
    ("percent", "before", "after"),
    [
        (100, (10.0, 20.0, 5.0), (10.0, 20.0, 5.0)),
        (30, (10.0, 20.0, 5.0), (3.0, 6.0, 26.0)),
        (0, (10.0, 20.0, 5.0), (0.0, 0.0, 35.0)),
        (0, (None, 20.0, None), (None, 0.0, None)),
        (0, (7.0,), (7.0,)),
        (0, (), ()),
    ],
)
def test_the_last_tier_is_meant_for_what_the_others_do_not_get(
    percent: int, before: tuple[float | None, ...], after: tuple[float | None, ...]
) -> None:
    meant = meant_load(offered(*before), percent)
    found = [None if tier.metrics.rates is None else tier.metrics.rates[TierSignal.OFFERED] for tier in meant]
    assert found == [None if rate is None else pytest.approx(rate) for rate in after]
