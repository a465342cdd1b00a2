"""What is saved against engines of the last tier that would answer everything."""

from __future__ import annotations

import pytest

from heterollm_controllers.cost.saving import (
    Demand,
    at_share,
    counterfactual,
    dollars_needed,
    engines_needed,
    projected_saving,
    saving,
)

LARGE = 128.0
"""Dollars per hour of 32 GPUs."""
SMALL = 8.0


@pytest.mark.parametrize(
    ("rate", "engines"), [(0.0, 0), (0.1, 1), (17.1, 1), (18 / 1.05, 1), (17.2, 2), (36 / 1.05, 2), (185.0, 11)]
)
def test_engines_have_five_per_cent_to_spare(rate: float, engines: int) -> None:
    assert engines_needed(rate, 18.0) == engines


def test_the_counterfactual_is_whole_engines_at_their_full_rate() -> None:
    assert counterfactual(185.0, 18.0, LARGE) == 11 * LARGE
    assert counterfactual(1.0, 18.0, LARGE) == LARGE


def test_a_half_idle_large_tier_does_not_flatter() -> None:
    """20 requests/s, 2 of them large: its dollars per request times all requests would be 10 x 128."""
    paid = LARGE + SMALL
    assert saving(paid, counterfactual(20.0, 18.0, LARGE)) == pytest.approx(1 - 136 / 256)


def test_a_loss_is_negative() -> None:
    assert saving(LARGE + SMALL, counterfactual(3.0, 18.0, LARGE)) == pytest.approx(-1 / 16)


@pytest.mark.parametrize(("paid", "otherwise"), [(None, 128.0), (128.0, None), (128.0, 0.0), (None, None)])
def test_what_is_not_known_saves_nothing_and_loses_nothing(paid: float | None, otherwise: float | None) -> None:
    assert saving(paid, otherwise) is None


@pytest.mark.parametrize(("rate", "price"), [(None, LARGE), (0.0, LARGE), (18.0, None)])
def test_no_counterfactual_without_rate_or_price(rate: float | None, price: float | None) -> None:
    assert counterfactual(10.0, rate, price) is None


def test_a_projection_counts_the_engines_that_the_target_needs() -> None:
    """Before: 11 large engines for 185/s. At the target 90 % are small: 1 small and 2 large engines."""
    target = [Demand(166.5, 180.0, SMALL), Demand(18.5, 18.0, LARGE)]
    assert dollars_needed(target) == SMALL + 2 * LARGE
    assert projected_saving(target, 11 * LARGE) == pytest.approx(100 * (1 - 264 / 1408))


@pytest.mark.parametrize(
    ("share", "rates"), [(0.0, [0, 0, 100]), (0.1, [6, 3, 91]), (1.0, [60, 30, 10])], ids=["none", "pilot", "all"]
)
def test_what_tiers_do_not_get_goes_to_the_last(share: float, rates: list[float]) -> None:
    asked = [Demand(60.0, 180.0, SMALL), Demand(30.0, 60.0, 16.0), Demand(10.0, 18.0, LARGE, least=1)]
    shared = at_share(asked, share)
    assert [demand.requests_per_second for demand in shared] == pytest.approx(rates)
    assert [demand.engine_rate for demand in shared] == [180.0, 60.0, 18.0]
    assert shared[-1].least == 1


def test_a_pilot_costs_more_than_nothing_and_the_projection_says_what_it_leads_to() -> None:
    asked = [Demand(166.5, 180.0, SMALL), Demand(18.5, 18.0, LARGE)]
    before = counterfactual(185.0, 18.0, LARGE)
    assert projected_saving(at_share(asked, 0.0), before) == 0
    assert projected_saving(at_share(asked, 0.1), before) == pytest.approx(
        100 * (1 - (SMALL + 10 * LARGE) / (11 * LARGE))
    )
    assert projected_saving(at_share(asked, 1.0), before) == pytest.approx(81.25)


def test_engines_that_stay_in_any_case_are_paid_for() -> None:
    idle = [Demand(10.0, 180.0, SMALL, least=3), Demand(0.0, 18.0, LARGE, least=1)]
    assert dollars_needed(idle) == 3 * SMALL + LARGE


def test_one_unknown_price_makes_the_whole_projection_unknown() -> None:
    assert projected_saving([Demand(10.0, 180.0, None), Demand(1.0, 18.0, LARGE)], 1408.0) is None
    assert projected_saving([Demand(10.0, 180.0, SMALL), Demand(1.0, None, LARGE)], 1408.0) is None
    assert projected_saving([Demand(10.0, 180.0, SMALL)], None) is None


def test_a_projection_may_be_a_loss() -> None:
    assert projected_saving([Demand(1.0, 180.0, SMALL), Demand(1.0, 18.0, LARGE)], LARGE) == pytest.approx(-6.25)
