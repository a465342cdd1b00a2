"""Readings say of the simulated cluster what a real Prometheus would: late, over windows, and not everything."""

from __future__ import annotations

import math

import pytest

from heterollm_controllers.api.signals import ClusterSignal, PodSignal, TierSignal
from heterollm_controllers.metrics.readings import Readings
from heterollm_controllers.simulation.faults import Fault, FaultKind
from heterollm_controllers.simulation.run import Scenario, Simulation, Tick
from heterollm_controllers.simulation.traffic import Load, Steady
from tests.simulation.scenes import LARGE, SMALL, Still, spec


def seen(
    rate: float = 20.0,
    minutes: float = 10,
    faults: tuple[Fault, ...] = (),
    shares: dict[str, int] | None = None,
    scrape: int = 15,
    large: int = 1,
) -> tuple[Simulation, dict[int, Readings]]:
    found: dict[int, Readings] = {}

    def note(tick: Tick) -> None:
        assert tick.readings is not None
        found[tick.second] = tick.readings

    scenario = Scenario(
        spec(),
        {"small": SMALL, "large": LARGE},
        Steady(Load(rate, 0.1)),
        int(minutes * 60),
        faults,
        scrape_seconds=scrape,
    )
    simulation = Simulation(scenario, Still({"small": 2, "large": large}, shares))
    simulation.run(note)
    return simulation, found


def test_rates_are_those_of_the_traffic() -> None:
    _, found = seen()
    tiers = found[595].tiers
    assert tiers["small"][TierSignal.OFFERED] == pytest.approx(18, rel=0.2)
    assert tiers["small"][TierSignal.ANSWERED] == pytest.approx(18, rel=0.2)
    assert tiers["large"][TierSignal.TRIED] == pytest.approx(2, rel=0.5)
    assert tiers["small"][TierSignal.FAILED] == 0
    assert found[595].cluster[ClusterSignal.ROUTERS] == 2


def test_rates_need_two_scrapes_and_ages_grow_between_them() -> None:
    _, found = seen()
    assert found[0].tiers == {}
    assert found[10].tiers == {}
    assert "small" in found[15].tiers
    ages = {next(iter(found[second].pods.values()))[PodSignal.AGE] for second in (300, 305, 310, 315)}
    assert ages == {0.0, 5.0, 10.0}


def test_history_has_a_figure_per_minute() -> None:
    _, found = seen()
    history = found[595].history["small"]
    assert len(history.rate) == len(history.concurrency) == len(history.kv_use) == 9
    assert history.rate[-1] == pytest.approx(18, rel=0.2)
    assert max(history.kv_use) == pytest.approx(max(history.concurrency) / 2 / SMALL.concurrency, rel=0.01)


def test_a_tier_without_engines_has_rates_and_no_requests_at_once() -> None:
    _, found = seen(large=0)
    history = found[595].history["large"]
    assert math.isnan(history.concurrency[-1])
    assert math.isnan(history.kv_use[-1])
    assert not math.isnan(history.rate[-1])


def test_diverted_requests_are_offered_and_not_tried() -> None:
    _, found = seen(shares={"small": 0, "large": 100})
    small, large = found[595].tiers["small"], found[595].tiers["large"]
    assert small[TierSignal.OFFERED] > 15
    assert small[TierSignal.TRIED] == 0
    assert large[TierSignal.ANSWERED] > 10
    assert small[TierSignal.SPILLED] > 10


def test_failures_show_as_requests_that_another_tier_answered() -> None:
    _, found = seen(faults=(Fault(FaultKind.FAIL, 300.0, 300.0, "small", 100.0),))
    small = found[595].tiers["small"]
    assert small[TierSignal.FAILED] == pytest.approx(small[TierSignal.TRIED])
    assert small[TierSignal.EJECTED] >= 1
    assert small[TierSignal.RETRIES] < small[TierSignal.TRIED]


def test_overload_shows_as_queue_and_as_refusals() -> None:
    _, found = seen(rate=400.0)
    last = found[595]
    assert last.pods["small-1-0"][PodSignal.QUEUE] > 100
    assert last.pods["small-1-0"][PodSignal.KV_USE] == 1
    assert last.tiers["small"][TierSignal.REFUSED] > 100
    assert last.tiers["small"][TierSignal.FAILED] == 0


def test_an_undecided_request_is_counted_apart() -> None:
    simulation, found = seen(faults=(Fault(FaultKind.SCORER, 300.0, 300.0),))
    assert found[595].cluster[ClusterSignal.UNDECIDED] == pytest.approx(20, rel=0.2)
    assert simulation.cluster.undecided == pytest.approx(20 * 300, rel=0.1)


@pytest.mark.parametrize(
    ("kind", "failed"),
    [
        (FaultKind.PROMETHEUS_DOWN, True),
        (FaultKind.PROMETHEUS_GARBAGE, True),
        (FaultKind.PROMETHEUS_SLOW, True),
        (FaultKind.PROMETHEUS_EMPTY, False),
        (FaultKind.PROMETHEUS_NAN, False),
    ],
)
def test_a_broken_prometheus_gives_no_figures(kind: FaultKind, failed: bool) -> None:
    _, found = seen(faults=(Fault(kind, 300.0, 300.0),))
    last = found[595]
    assert (last.pods, last.tiers, last.cluster) == ({}, {}, {})
    assert bool(last.failure) is failed
    rates = last.history["small"].rate if last.history else ()
    assert all(math.isnan(rate) for rate in rates)


def test_history_is_kept_for_three_minutes_without_answers() -> None:
    _, found = seen(faults=(Fault(FaultKind.PROMETHEUS_DOWN, 300.0, 300.0),))
    assert found[300].history == found[295].history
    assert found[470].history == found[295].history
    assert found[480].history == {}


def test_old_figures_lose_their_rates_and_tell_their_age() -> None:
    _, found = seen(faults=(Fault(FaultKind.PROMETHEUS_OLD, 300.0, 300.0),))
    assert found[330].tiers != {}
    assert found[360].tiers == {}
    assert found[400].pods["small-1-0"][PodSignal.AGE] == 400 - 285
    assert found[595].pods == {}, "Prometheus forgets after five minutes"
    assert math.isnan(found[595].history["small"].rate[-1])


def test_a_short_scrape_interval_gives_a_short_window() -> None:
    _, found = seen(scrape=5, faults=(Fault(FaultKind.FAIL, 300.0, 300.0, "small", 100.0),))
    assert found[320].tiers["small"][TierSignal.FAILED] > 0.5 * found[320].tiers["small"][TierSignal.TRIED]
