"""An engine answers as fast as its metrics say: alone, full, and in between."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heterollm_controllers.api.v1alpha1.tier import Tier
from heterollm_controllers.simulation.engine_model import LARGE as R9_LARGE
from heterollm_controllers.simulation.engine_model import SMALL as R9_SMALL
from heterollm_controllers.simulation.engine_model import engine_model, within
from heterollm_controllers.simulation.engines import Group, merged
from heterollm_controllers.sizing import size
from tests.simulation.scenes import LARGE, SMALL


def seconds(in_flight: float) -> float:
    """From arrival to the end of a request that meets so many others in its engine, by the model's description."""
    running = min(in_flight, SMALL.concurrency)
    slowed = (SMALL.full_seconds - SMALL.lone_seconds) * running / SMALL.concurrency
    return SMALL.lone_seconds + slowed + SMALL.waiting(in_flight, 1.0)


def settled(arrivals: float, seconds: int = 600) -> Group:
    group = Group(["a-0"])
    for _ in range(seconds):
        group.step(SMALL, arrivals, 1.0)
    return group


@pytest.mark.parametrize("rate", [0.5, 5.0, 15.0, 19.0])
def test_littles_law_holds(rate: float) -> None:
    group = settled(rate)
    assert group.in_flight == pytest.approx(rate * seconds(group.in_flight), rel=1e-3)
    assert group.finished == pytest.approx(rate, rel=1e-6)


def test_a_lone_request_takes_its_time_and_a_full_engine_its_rate() -> None:
    lone = Group(["a-0"], 1.0)
    lone.step(SMALL, 0.0, 1.0, seconds=0.01)
    assert lone.finished == pytest.approx(1 / SMALL.lone_seconds, rel=0.05)
    assert settled(100.0).finished == SMALL.rate


def test_what_an_engine_cannot_do_waits() -> None:
    group = settled(25.0, seconds=100)
    assert group.in_flight == pytest.approx(100 * 5.0 + SMALL.concurrency, rel=0.1)
    assert SMALL.waiting(group.in_flight, 1.0) == pytest.approx((group.in_flight - 40) / 20)


def test_first_tokens_come_later_the_busier_the_engine_is() -> None:
    delays = [SMALL.first_token_delay(10, finished, 1.0) for finished in (0.0, 10.0, 16.0, 19.0)]
    assert delays[0] == 0.0
    assert delays == sorted(delays)
    # M/D/1 at 80 %: 0.8 / (2 x 0.2) = 2 services of 1/20 s.
    assert delays[2] == pytest.approx(0.1)


def test_a_slow_engine_is_slow_in_everything() -> None:
    assert SMALL.first_token_delay(20, 3.0, 3.0) > 3 * SMALL.first_token_delay(20, 3.0, 1.0)
    assert SMALL.finished(500.0, 4.0) == SMALL.rate / 4


@given(present=st.floats(0, 1e4), slower=st.floats(1, 100))
def test_an_engine_never_finishes_more_than_it_has_or_can(present: float, slower: float) -> None:
    for model in (SMALL, LARGE):
        finished = model.finished(present, slower)
        assert 0 <= finished <= min(present, model.rate / slower) + 1e-6


def test_shares_within_the_objective_are_those_of_the_lognormal_distribution() -> None:
    scatter = R9_SMALL.scatter
    assert within(0.045, 0.0, 0.025, scatter) == pytest.approx(0.99, abs=1e-6)
    assert within(0.025, 0.0, 0.025, scatter) == pytest.approx(0.5)
    assert within(0.05, 0.05, 0.025, scatter) == 0.0
    assert within(10.0, 0.0, 0.025, scatter) == 1.0
    assert within(0.1, 0.0, 0.05, 0.0) == 1.0
    assert within(0.1, 0.06, 0.05, 0.0) == 0.0


def test_engines_with_the_same_load_become_one_group_and_lose_no_request() -> None:
    one, other = Group(["a-0", "b-0"], 10.0), Group(["c-0"], 10.4)
    total = one.total + other.total
    (both,) = merged([one, other], SMALL)
    assert both.pods == ["a-0", "b-0", "c-0"]
    assert both.total == pytest.approx(total)
    assert len(merged([Group(["a-0"], 10.0), Group(["b-0"], 30.0)], SMALL)) == 2


def tier(**engine: object) -> Tier:
    return Tier.model_validate(
        {"name": "t", "model": {"id": "Qwen/Qwen3-4B"}, "accelerator": {"type": "A100-80GB"}, "engine": engine}
    )


def test_the_model_is_what_was_measured_or_else_estimated() -> None:
    measured = tier(gpus=2, measured={"requestsPerSecond": "30", "timeToFirstTokenMs": "50"})
    model = engine_model(measured, size(measured), last=False)
    assert (model.rate, model.first_token, model.gpus, model.source) == (30.0, 0.05, 2, "measured")
    assert model.dollars_per_hour == 8.0
    estimated = engine_model(tier(gpus=2), size(tier(gpus=2)), last=False)
    assert estimated.source == "estimated"
    assert estimated.concurrency >= estimated.rate * estimated.lone_seconds


def test_what_sizing_does_not_know_is_the_references() -> None:
    unsized = tier(gpus=1, args=("--sim-profile", "small"))
    small = engine_model(unsized, size(unsized), last=False)
    large = engine_model(unsized, size(unsized), last=True, cold_start=7.0)
    assert (small.rate, small.first_token, small.source) == (180.0, 0.025, "R9")
    assert (large.rate, large.first_token, large.cold_start) == (18.0, 0.095, 7.0)
    for reference in (R9_SMALL, R9_LARGE):
        lone = reference.first_token + reference.per_token * (reference.tokens - 1)
        assert reference.concurrency >= reference.rate * lone, "the reference could not reach its own rate"
