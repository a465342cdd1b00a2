"""Counters of GPU-seconds and dollars, as Prometheus sees them."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from heterollm_controllers.cost.tier_cost import TierCost
from heterollm_controllers.simulation.faults import Fault, FaultKind
from heterollm_controllers.simulation.policy_under_test import Operator
from heterollm_controllers.simulation.run import Scenario, Simulation, Tick
from heterollm_controllers.simulation.summary import summarised
from heterollm_controllers.simulation.traffic import Load, Wave
from heterollm_operator.kube.store import Key
from heterollm_operator.process.cost_metrics import CostMetrics
from tests.simulation.scenes import LARGE, SMALL, spec

C = Key("ns", "c")


class Leader:
    """One replica that leads, and its clock."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now
        self.metrics = CostMetrics(lambda: self.now)
        self.registry = CollectorRegistry()
        self.registry.register(self.metrics)

    def value(self, name: str, tier: str = "small", cluster: str = "c") -> float | None:
        labels = {"namespace": "ns", "cluster": cluster, "tier": tier}
        return self.registry.get_sample_value(f"heterollm_tier_{name}", labels)


@pytest.fixture
def leader() -> Leader:
    return Leader(1000.0)


def cost(gpus: int, price: float | None = 4.0, tier: str = "small") -> TierCost:
    return TierCost(tier, gpus, None if price is None else gpus * price)


def test_counters_grow_between_looks(leader: Leader) -> None:
    leader.metrics.reconciled(C, [cost(4)])
    assert (leader.value("gpus"), leader.value("gpu_seconds_total"), leader.value("dollars_total")) == (4, 0, 0)
    leader.now += 900
    assert (leader.value("gpu_seconds_total"), leader.value("dollars_total")) == (3600, 4)
    leader.metrics.reconciled(C, [cost(2)])
    leader.now += 900
    assert (leader.value("gpus"), leader.value("gpu_seconds_total"), leader.value("dollars_total")) == (2, 5400, 6)


def test_what_could_not_be_seen_goes_on_as_it_was(leader: Leader) -> None:
    leader.metrics.reconciled(C, [cost(4)])
    leader.now += 60
    leader.metrics.reconciled(C, None)
    leader.now += 60
    assert (leader.value("gpus"), leader.value("gpu_seconds_total")) == (4, 480)


def test_a_service_has_prices_and_no_dollars_of_its_own(leader: Leader) -> None:
    """These follow from the tokens that routers count."""
    leader.metrics.reconciled(C, [TierCost("small", 0, None, last=True, token_prices=(0.15, 0.6))])
    leader.now += 3600
    labels = {"namespace": "ns", "cluster": "c", "tier": "small"}
    prices = {
        kind: leader.registry.get_sample_value("heterollm_tier_dollars_per_million_tokens", labels | {"kind": kind})
        for kind in ("prompt", "completion")
    }
    assert prices == {"prompt": 0.15, "completion": 0.6}
    assert (leader.value("gpus"), leader.value("last"), leader.value("dollars_total")) == (0, 1, None)
    generate_latest(leader.registry)


def test_a_tier_without_a_price_has_gpus_and_no_dollars(leader: Leader) -> None:
    leader.metrics.reconciled(C, [cost(4, None), cost(8, 2.0, "large")])
    leader.now += 3600
    assert (leader.value("gpu_seconds_total"), leader.value("dollars_total")) == (4 * 3600, None)
    assert leader.value("dollars_total", "large") == 16
    assert (leader.value("dollars_per_hour"), leader.value("dollars_per_hour", "large")) == (None, 16)
    assert leader.value("engine_dollars_per_hour") is None


def test_what_an_engine_is_and_which_tier_is_the_last(leader: Leader) -> None:
    large = TierCost("large", 32, 128.0, engine_dollars_per_hour=128.0, engine_rate=18.0, last=True)
    leader.metrics.reconciled(C, [cost(4), large])
    assert leader.value("engine_dollars_per_hour", "large") == 128
    assert leader.value("engine_requests_per_second", "large") == 18
    assert leader.value("engine_requests_per_second", "small") is None
    assert (leader.value("last", "small"), leader.value("last", "large")) == (0, 1)


def test_a_tier_that_is_gone_stands_still(leader: Leader) -> None:
    leader.metrics.reconciled(C, [cost(4), cost(8, None, "large")])
    leader.now += 900
    leader.metrics.reconciled(C, [])
    leader.now += 900
    assert (leader.value("gpus"), leader.value("gpu_seconds_total"), leader.value("dollars_total")) == (0, 3600, 4)
    assert (leader.value("gpu_seconds_total", "large"), leader.value("dollars_total", "large")) == (7200, None)


def test_a_tier_of_which_nobody_can_tell_any_more_counts_as_before(leader: Leader) -> None:
    leader.metrics.reconciled(C, [cost(4)])
    leader.now += 60
    leader.metrics.reconciled(C, [TierCost("small", None, None), TierCost("large", None, None)])
    leader.now += 60
    assert (leader.value("gpus"), leader.value("gpu_seconds_total")) == (4, 480)
    assert leader.value("gpus", "large") is None


def test_clusters_are_apart_and_go(leader: Leader) -> None:
    leader.metrics.reconciled(C, [cost(4)])
    leader.metrics.reconciled(Key("ns", "other"), [cost(1)])
    leader.now += 10
    assert (leader.value("gpu_seconds_total"), leader.value("gpu_seconds_total", cluster="other")) == (40, 10)
    leader.metrics.forget(C)
    assert (leader.value("gpus"), leader.value("last"), leader.value("gpus", cluster="other")) == (None, None, 1)
    leader.metrics.forget(C)


def test_prometheus_is_told_that_they_are_counters(leader: Leader) -> None:
    leader.metrics.reconciled(C, [cost(4)])
    text = generate_latest(leader.registry).decode()
    assert "# TYPE heterollm_tier_gpu_seconds_total counter" in text
    assert "# TYPE heterollm_tier_dollars_total counter" in text
    assert "# TYPE heterollm_tier_gpus gauge" in text


class Scraped:
    """A counter of two tiers over the lives of several leaders, scraped every 15 s."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.leader: Leader | None = None
        self.leaders = 0
        self.before = dict.fromkeys(simulation.cluster.names, 0.0)
        self.increase = dict.fromkeys(simulation.cluster.names, 0.0)

    def ticked(self, tick: Tick) -> None:
        """A reconcile, which there is at least whenever the operator decides."""
        if self.leader is None or tick.second > self.leader.now + 60:
            self.leader = Leader()
            self.leaders += 1
        self.leader.now = tick.second
        fleets = self.simulation.cluster.fleets
        self.leader.metrics.reconciled(C, [cost(fleet.present * fleet.model.gpus, 4.0, fleet.name) for fleet in fleets])
        if tick.second % 15 == 0:
            self._scrape(self.leader)

    def _scrape(self, leader: Leader) -> None:
        for tier, before in self.before.items():
            value = leader.value("dollars_total", tier)
            assert value is not None
            # As Prometheus takes it: less than before is a counter that began again at zero.
            self.increase[tier] += value - before if value >= before else value
            self.before[tier] = value


def test_dollars_of_a_simulated_day_with_scaling_and_restarts_are_the_simulators() -> None:
    restarts = tuple(Fault(FaultKind.RESTART, 3600.0 * hour, 90.0) for hour in (7, 13, 19))
    kills = (Fault(FaultKind.KILL, 36000.0, 60.0, "small", 2.0),)
    scenario = Scenario(
        spec(small=(1, 8), large=(1, 3)),
        {"small": SMALL, "large": LARGE},
        Wave(Load(60.0, 0.2)),
        86_400,
        (*restarts, *kills),
    )
    simulation = Simulation(scenario, Operator(scenario.spec))
    scraped = Scraped(simulation)
    simulation.run(watch=scraped.ticked)
    summary = summarised(simulation)
    assert scraped.leaders == 4
    assert summary.decisions["ScaledUp"] >= 3
    for tier in summary.tiers:
        by_second = simulation.cluster.answers[simulation.cluster.names.index(tier.name)].engine_seconds
        assert tier.dollars == pytest.approx(4.0 * tier.gpu_hours)
        assert tier.engine_hours == by_second / 3600
        assert scraped.increase[tier.name] == pytest.approx(tier.dollars, rel=0.01)
