"""From GPUs and prices to dollars."""

from __future__ import annotations

import pytest

from heterollm_controllers.cost.prices import dollars, dollars_per_1000, engine_dollars_per_hour


@pytest.mark.parametrize(("gpus", "rate", "expected"), [(32, 72.0, 0.494), (16, 185.0, 0.096)])
def test_the_corrected_figures_of_r22(gpus: int, rate: float, expected: float) -> None:
    assert dollars_per_1000(engine_dollars_per_hour(gpus, 4.0), rate) == pytest.approx(expected, abs=0.0005)


def test_the_source_is_3_6_times_too_high_and_its_ratio_is_right() -> None:
    large, mixed = dollars_per_1000(32 * 4.0, 72.0), dollars_per_1000(16 * 4.0, 185.0)
    assert large is not None
    assert mixed is not None
    assert 3.6 * large == pytest.approx(1.78, abs=0.005)
    assert 3.6 * mixed == pytest.approx(0.35, abs=0.005)
    assert large / mixed == pytest.approx(5.1, abs=0.05)


def test_time_is_money() -> None:
    assert dollars(1800, 128.0) == 64.0
    assert dollars(0, 128.0) == 0.0


def test_without_a_price_there_are_no_dollars() -> None:
    assert engine_dollars_per_hour(8, None) is None
    assert dollars(3600, None) is None
    assert dollars_per_1000(None, 10) is None


def test_what_nobody_asks_has_no_price_per_request() -> None:
    assert dollars_per_1000(128.0, 0.0) is None
