"""Counters are exact in time: each stretch between two observations counts at its own rate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heterollm_controllers.cost.meter import Meter


def test_each_stretch_counts_at_its_own_rate() -> None:
    meter = Meter(1000.0).observe(1000.0, 4, 16.0).observe(1090.0, 6, 24.0).read(1100.0)
    assert meter.gpu_seconds == 90 * 4 + 10 * 6
    assert meter.dollars == pytest.approx((90 * 16 + 10 * 24) / 3600)


@given(st.lists(st.tuples(st.floats(0, 1e4), st.integers(0, 512), st.floats(0, 1e4)), max_size=20), st.data())
def test_reading_in_between_changes_nothing(steps: list[tuple[float, int, float]], data: st.DataObject) -> None:
    plain = read = Meter(0.0).observe(0.0, 0, 0.0)
    now = 0.0
    for seconds, gpus, price in steps:
        between = now + data.draw(st.floats(0, 1)) * seconds
        now += seconds
        plain = plain.observe(now, gpus, price)
        read = read.read(between).observe(now, gpus, price)
    assert read.gpu_seconds == pytest.approx(plain.gpu_seconds)
    assert read.dollars == pytest.approx(plain.dollars)


def test_a_clock_that_stands_still_or_goes_back_counts_nothing_and_nothing_twice() -> None:
    meter = Meter(100.0).observe(100.0, 2, 8.0).read(160.0)
    assert meter.read(160.0) == meter
    assert meter.read(100.0).gpu_seconds == meter.gpu_seconds
    assert meter.read(100.0).read(160.0).gpu_seconds == meter.gpu_seconds


def test_without_a_price_gpus_count_and_dollars_do_not_exist() -> None:
    meter = Meter(0.0).observe(0.0, 8, None).read(60.0)
    assert (meter.gpu_seconds, meter.dollars) == (480.0, None)


def test_dollars_begin_at_zero_when_a_price_is_set() -> None:
    meter = Meter(0.0).observe(0.0, 8, None).observe(60.0, 8, 32.0)
    assert meter.dollars == 0.0
    assert meter.read(60.0 + 3600).dollars == 32.0


def test_dollars_are_gone_while_a_price_is_not_known() -> None:
    meter = Meter(0.0).observe(0.0, 8, 32.0).observe(3600.0, 16, None)
    assert (meter.dollars, meter.read(3700.0).dollars) == (None, None)
    assert meter.observe(3700.0, 8, 32.0).dollars == 0.0, "no sum that lacks a part"
