"""Summaries count what happened, and call wrong what hindsight disapproves of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from heterollm_cli.simulate_report import comparison, summary_lines
from heterollm_controllers.observation.tier_state import TierState
from heterollm_controllers.simulation.faults import Fault, FaultKind
from heterollm_controllers.simulation.policy_under_test import Operator, Orders
from heterollm_controllers.simulation.run import Scenario, Simulation
from heterollm_controllers.simulation.summary import summarised
from heterollm_controllers.simulation.traffic import Load, Spike, Steady
from tests.simulation.scenes import LARGE, SMALL, Still, simulated, spec


class ScalingContext(Still):
    """Follows a plan for the small tier: engines by second."""

    def __init__(self, plan: dict[int, int]) -> None:
        super().__init__({"small": 2, "large": 1})
        self.plan, self.ticks = plan, 0

    def decide(self, tiers: Sequence[TierState], *_: object) -> Orders:
        self.targets["small"] = self.plan.get(5 * self.ticks, self.targets["small"])
        self.ticks += 1
        return super().decide(tiers)


def followed(plan: dict[int, int], rate: float = 10.0) -> Simulation:
    return simulated(ScalingContext(plan), rate=rate, minutes=40)


def test_requests_add_up_and_gpus_are_paid_for() -> None:
    summary = summarised(simulated(rate=15, minutes=60))
    assert summary.offered == pytest.approx(15 * 3600, rel=0.02)
    assert summary.answered + summary.refused + summary.failed == pytest.approx(summary.offered, rel=0.01)
    assert summary.gpu_hours == pytest.approx(2 * 2 + 32)
    assert summary.dollars == pytest.approx(2 * 8 + 128)
    assert summary.dollars_per_1000 == pytest.approx(1000 * 144 / summary.answered)
    assert sum(tier.gpu_hours for tier in summary.tiers) == pytest.approx(summary.gpu_hours)
    assert summary.within_objective > 0.99
    assert summary.seconds_in == {"Normal": 3600}


def test_the_saving_is_against_full_engines_of_the_last_tier_hour_by_hour() -> None:
    """15, then 75 requests/s, at 18 per large engine: one large engine, then five."""
    course = Spike(Load(15.0, 0.1), 5.0, 3600.0, 3600.0)
    summary = summarised(simulated(traffic=course, of=spec(small=(4, 4)), minutes=120))
    assert summary.counterfactual_dollars == pytest.approx(6 * 128)
    assert summary.dollars == pytest.approx(2 * (4 * 8 + 128))
    assert summary.saving == pytest.approx(1 - 320 / 768)


def test_what_is_refused_is_no_work_that_was_saved() -> None:
    one = summarised(simulated(rate=200, of=spec(small=(1, 1)), minutes=60))
    answered = one.answered / 3600
    assert one.refused > 0
    assert one.counterfactual_dollars == 128 * math.ceil(1.05 * answered / 18)


def test_without_a_price_there_are_gpu_hours_and_no_dollars() -> None:
    scenario = Scenario(
        spec(), {"small": replace(SMALL, dollars_per_hour=None), "large": LARGE}, Steady(Load(15.0, 0.1)), 3600
    )
    simulation = Simulation(scenario, Still({"small": 2, "large": 1}))
    simulation.run()
    summary = summarised(simulation)
    assert summary.gpu_hours == pytest.approx(2 * 2 + 32)
    assert (summary.dollars, summary.dollars_per_1000, summary.saving) == (None, None, None)
    assert [tier.dollars for tier in summary.tiers] == [None, pytest.approx(128)]
    shown = "\n".join(summary_lines(summary))
    assert "no dollars: a price is not known; set accelerator.dollarsPerHour" in shown
    assert "saving     unknown" in shown
    assert comparison({"a": summary})[5] == ("$", "unknown")


def test_refused_and_failed_requests_are_outside_of_the_objective() -> None:
    summary = summarised(simulated(rate=200, of=spec(small=(1, 1)), minutes=20))
    assert summary.refused > 0
    assert summary.within_objective < 0.5


def test_a_raise_that_nothing_needed_is_wrong_and_one_that_was_needed_is_not() -> None:
    assert summarised(followed({600: 4})).wrong.needless_raises == 1
    assert summarised(followed({600: 4}, rate=60.0)).wrong.needless_raises == 0


def test_a_drop_that_is_soon_taken_back_is_hasty() -> None:
    assert summarised(followed({600: 1, 700: 2})).wrong.hasty_drops == 1
    assert summarised(followed({600: 1, 1000: 2})).wrong.hasty_drops == 0


def test_to_and_fro_is_a_flip() -> None:
    assert summarised(followed({600: 3, 650: 2, 700: 3, 750: 2})).wrong.flips == 2
    assert summarised(followed({300: 3, 700: 2, 1100: 3, 1500: 2})).wrong.flips == 0


def test_a_fallback_without_a_fault_is_a_false_alarm() -> None:
    fault = Fault(FaultKind.FAIL, 600.0, 120.0, "small", 100.0)
    simulation = simulated(Operator(spec()), rate=15, faults=(fault,), minutes=30)
    summary = summarised(simulation)
    assert summary.wrong.false_alarms == 0
    assert summary.seconds_in["Escalated"] > 300
    assert summary.decisions["TierEscalated"] == 1
    assert summarised(simulated(Operator(spec()), rate=15, minutes=10)).as_data()["wrong"]["false_alarms"] == 0
