"""What will be needed soon, from the last hour; with gaps, jumps and nothing to go by."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heterollm_controllers.capacity.forecast import MOST_GROWTH, forecast

NAN = math.nan


@pytest.mark.parametrize("length", [5, 9, 10, 60])
def test_what_does_not_change_goes_on(length: int) -> None:
    found = forecast((7.0,) * length, 5)
    assert found is not None
    assert found.value == pytest.approx(7.0)
    assert found.error in (None, pytest.approx(0.0))


@pytest.mark.parametrize("length", [5, 30])
def test_a_rise_goes_on_for_a_while(length: int) -> None:
    history = tuple(100.0 + 2 * minute for minute in range(length))
    found = forecast(history, 5)
    assert found is not None
    assert history[-1] + 3 < found.value <= history[-1] + 10 + 1e-9


@pytest.mark.parametrize("minutes", [1, 5, 20])
def test_a_short_rise_goes_on_along_its_line(minutes: int) -> None:
    found = forecast((100.0, 102.0, 104.0, 106.0, 108.0), minutes)
    assert found is not None
    assert found.value == pytest.approx(108 + 2 * minutes)


def test_a_long_rise_is_smoothed_and_fades() -> None:
    """By hand: level and trend of Holt's method, and what is left of the trend after one, and two, minutes."""
    level, trend = 0.0, 0.0
    for value in range(12):
        before, level = level, 0.5 * value + 0.5 * (level + 0.9 * trend)
        trend = 0.2 * (level - before) + 0.8 * 0.9 * trend
    history = tuple(float(value) for value in range(12))
    for minutes, left in ((1, 0.9), (2, 0.9 + 0.81)):
        found = forecast(history, minutes)
        assert found is not None
        assert found.value == pytest.approx(level + left * trend)


def test_one_wild_minute_makes_no_trend_of_a_short_history() -> None:
    found = forecast((10.0, 10.0, 90.0, 10.0, 10.0), 5)
    assert found is not None
    assert found.value == pytest.approx(10.0)


@pytest.mark.parametrize("history", [(), (1.0, 2.0, 3.0, 4.0), (NAN,) * 60, (5.0,) * 40 + (NAN,) * 18 + (5.0,) * 2])
def test_too_little_is_nothing(history: tuple[float, ...]) -> None:
    assert forecast(history, 5) is None


def test_what_was_before_a_long_gap_does_not_count() -> None:
    found = forecast((500.0,) * 30 + (NAN,) * 10 + (5.0,) * 20, 5)
    assert found is not None
    assert found.value == pytest.approx(5.0)


def test_the_error_is_the_share_by_which_such_forecasts_missed() -> None:
    calm, wild = forecast((10.0,) * 60, 5), forecast((5.0, 15.0) * 30, 5)
    assert calm is not None
    assert wild is not None
    assert calm.error == pytest.approx(0.0)
    assert wild.error is not None
    assert 0.4 < wild.error < 1.0


@given(st.lists(st.floats(0, 1e6) | st.just(NAN), max_size=60), st.integers(1, 60))
def test_it_is_a_number_within_bounds(history: list[float], minutes: int) -> None:
    found = forecast(tuple(history), minutes)
    if found is not None:
        known = [value for value in history if not math.isnan(value)]
        assert 0 <= found.value <= MOST_GROWTH * max(known)
