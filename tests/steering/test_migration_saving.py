"""The cost gate: what is saved once all has moved, and at the end by the engines that are there."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from heterollm_controllers.api.signals import TierSignal
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.metrics.readings import History, Readings
from heterollm_controllers.metrics.tier_metrics import MeasuredTier, TierMetrics
from heterollm_controllers.observation.tier_state import EngineState, TierState
from heterollm_controllers.reconcile import control_loop
from heterollm_controllers.reconcile.control_loop import steer
from heterollm_controllers.reconcile.control_state import ControlState
from heterollm_controllers.traffic.migration_saving import migration_saving
from tests.core.builders import api_tier, spec

SMALL, LARGE = 2.0, 32.0
"""Dollars per hour of an engine; a small one answers 10 requests per second, a large one 5."""


def cluster(**small: Any) -> HeteroLLMClusterSpec:
    return spec(
        api_tier(replicas={"min": 1, "max": 9, **small}),
        api_tier("large", replicas={"min": 1, "max": 9}),
        migration={"mode": "Auto", "gates": {"costReductionPercent": 30}},
    )


def measured(
    name: str,
    offered: float | None,
    rate: float | None,
    price: float | None,
    engines: int = 1,
    hour: float | None = None,
) -> MeasuredTier:
    state = TierState(
        name,
        tuple(EngineState(f"{name}-{n}", f"{name}-{n}-0", serving=True) for n in range(engines)),
        rate=rate,
        engine_dollars_per_hour=price,
    )
    rates = None if offered is None else {TierSignal.OFFERED: offered}
    history = History(rate=() if hour is None else (hour, float("nan"), hour))
    return MeasuredTier(state, TierMetrics(known=engines, rates=rates, history=history))


def tiers(small: float | None = 90.0, large: float | None = 10.0, **more: Any) -> list[MeasuredTier]:
    """100 requests per second: for the large tier alone 21 engines."""
    return [measured("small", small, 10.0, SMALL, **more), measured("large", large, 5.0, LARGE)]


def test_below_the_end_by_the_engines_that_will_be_needed() -> None:
    """10 small and 3 large engines (5 % to spare), whatever is there now."""
    for engines in (1, 9):
        found = migration_saving(cluster(), tiers(engines=engines), 30)
        assert found == pytest.approx(100 * (1 - (10 * SMALL + 3 * LARGE) / (21 * LARGE)))


def test_at_the_end_by_the_engines_that_are_there() -> None:
    seen = tiers(engines=9)
    assert migration_saving(cluster(), seen, 100) == pytest.approx(100 * (1 - (9 * SMALL + LARGE) / (21 * LARGE)))
    going = [replace(seen[0].state, leaving=2), seen[1].state]
    less = [MeasuredTier(state, tier.metrics) for state, tier in zip(going, seen, strict=True)]
    assert migration_saving(cluster(), less, 100) == pytest.approx(100 * (1 - (11 * SMALL + LARGE) / (21 * LARGE)))


def test_engines_that_a_tier_keeps_anyway_are_paid() -> None:
    found = migration_saving(cluster(min=8, standby=7, max=20), tiers(), 10)
    assert found == pytest.approx(100 * (1 - (15 * SMALL + 3 * LARGE) / (21 * LARGE)))


def test_a_quiet_minute_is_not_the_hour() -> None:
    """Nine tenths want the small tier now, and the hour had 100 requests per second."""
    quiet = [measured("small", 9.0, 10.0, SMALL, hour=60.0), measured("large", 1.0, 5.0, LARGE, hour=40.0)]
    assert migration_saving(cluster(), quiet, 30) == migration_saving(cluster(), tiers(), 30)


def test_two_tiers_may_cost_more() -> None:
    few = [measured("small", 0.9, 10.0, SMALL), measured("large", 0.1, 5.0, LARGE)]
    assert migration_saving(cluster(), few, 30) == pytest.approx(-100 * SMALL / LARGE)


@pytest.mark.parametrize(
    "seen",
    [
        [measured("small", 90.0, 10.0, None), measured("large", 10.0, 5.0, LARGE)],
        [measured("small", 90.0, 10.0, SMALL), measured("large", 10.0, 5.0, None)],
        [measured("small", 90.0, 10.0, SMALL), measured("large", 10.0, None, LARGE)],
        tiers(small=None),
        tiers(small=0.0, large=0.0),
        tiers()[:1],
        [],
    ],
    ids=["price of small", "price of large", "rate of large", "no metrics", "no traffic", "no large", "nothing"],
)
@pytest.mark.parametrize("percent", [10, 100])
def test_what_nobody_knows_is_not_guessed(seen: list[MeasuredTier], percent: int) -> None:
    assert migration_saving(cluster(), seen, percent) is None


PRICES = {"input": "2", "output": "10"}
TOKENS = {TierSignal.PROMPT_TOKENS: 1000.0, TierSignal.COMPLETION_TOKENS: 200.0}
BILLED = 0.004
"""Dollars for each of the service's answers."""


def before_a_service(prices: dict[str, str] | None = PRICES) -> HeteroLLMClusterSpec:
    told = {} if prices is None else {"dollarsPerMillionTokens": prices}
    return spec(
        api_tier(replicas={"min": 1, "max": 9}),
        {"name": "large", "external": {"url": "https://far/v1", "model": "far", **told}},
        migration={"mode": "Auto", "gates": {"costReductionPercent": 30}},
    )


def service(offered: float, tokens: dict[TierSignal, float] = TOKENS) -> MeasuredTier:
    rates = {TierSignal.OFFERED: offered, **tokens}
    return MeasuredTier(TierState("large", (), external=True), TierMetrics(rates=rates))


def test_a_service_is_compared_with_by_what_it_bills() -> None:
    """Of 100 requests per second engines take 90: ten of them are needed, and three are there."""
    seen = [measured("small", 90.0, 10.0, SMALL, engines=3), service(10.0)]
    alone, rest = 100 * BILLED * 3600, 10 * BILLED * 3600
    assert migration_saving(before_a_service(), seen, 30) == pytest.approx(100 * (1 - (10 * SMALL + rest) / alone))
    assert migration_saving(before_a_service(), seen, 100) == pytest.approx(100 * (1 - (3 * SMALL + rest) / alone))


@pytest.mark.parametrize("percent", [10, 100])
@pytest.mark.parametrize(
    ("prices", "tokens"),
    [(None, TOKENS), (PRICES, {}), (PRICES, {TierSignal.PROMPT_TOKENS: 1000.0})],
    ids=["no prices", "no tokens", "no tokens of answers"],
)
def test_a_bill_that_nobody_knows_is_not_guessed(
    prices: dict[str, str] | None, tokens: dict[TierSignal, float], percent: int
) -> None:
    seen = [measured("small", 90.0, 10.0, SMALL), service(10.0, tokens)]
    assert migration_saving(before_a_service(prices), seen, percent) is None


def test_the_gate_is_told_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control loop hands it on, for clusters that migrate."""
    asked: list[int] = []
    monkeypatch.setattr(control_loop, "migration_saving", lambda _spec, _tiers, percent: asked.append(percent))
    now = datetime(2026, 1, 1, tzinfo=UTC)
    states = [tier.state for tier in tiers()]
    steer(cluster(), states, ControlState(), Readings(now), now)
    assert asked == [0]
    steer(spec(api_tier(), api_tier("large")), states, ControlState(), Readings(now), now)
    assert asked == [0]
