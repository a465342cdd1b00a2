"""Traffic has the shape that it is asked for."""

from __future__ import annotations

import random
from statistics import fmean, pvariance

import pytest

from heterollm_controllers.simulation.traffic import Bursts, Load, Ramp, Recorded, Spike, Steady, Wave, poisson

LOAD = Load(10.0, 0.2)


def test_a_wave_is_lowest_at_midnight_highest_at_noon_and_has_its_mean() -> None:
    wave = Wave(LOAD, depth=0.5)
    assert wave.at(0).rate == pytest.approx(5)
    assert wave.at(43_200).rate == pytest.approx(15)
    assert fmean(wave.at(hour * 3600).rate for hour in range(24)) == pytest.approx(10)


def test_spikes_bursts_and_ramps_reach_their_factor() -> None:
    spike = Spike(LOAD, factor=3, start=100, seconds=50)
    assert [spike.at(second).rate for second in (99, 100, 149, 150)] == [10, 30, 30, 10]
    bursts = Bursts(LOAD, factor=2, every=100, seconds=10)
    assert [bursts.at(second).rate for second in (0, 99, 100, 109, 110, 200)] == [10, 10, 20, 20, 10, 20]
    ramp = Ramp(LOAD, factor=2, seconds=100)
    assert [ramp.at(second).rate for second in (0, 50, 100, 1000)] == [10, 15, 20, 20]


def test_a_recording_holds_each_load_until_the_next() -> None:
    recorded = Recorded([(10.0, Load(1.0, 0.0)), (20.0, Load(2.0, 1.0))])
    assert [recorded.at(second).rate for second in (0, 10, 19, 20, 1000)] == [0, 1, 1, 2, 2]


def test_the_share_of_large_requests_stays() -> None:
    for traffic in (Steady(LOAD), Wave(LOAD), Spike(LOAD), Bursts(LOAD), Ramp(LOAD)):
        assert {traffic.at(second).large_share for second in range(0, 5000, 500)} == {0.2}


@pytest.mark.parametrize("mean", [0.3, 5.0, 50.0, 500.0])
def test_numbers_are_poissons(mean: float) -> None:
    source = random.Random(7)
    numbers = [poisson(source, mean) for _ in range(20_000)]
    assert fmean(numbers) == pytest.approx(mean, rel=0.03)
    assert pvariance(numbers) == pytest.approx(mean, rel=0.06)


def test_no_mean_gives_no_request() -> None:
    assert poisson(random.Random(1), 0.0) == 0
