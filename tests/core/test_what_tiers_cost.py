"""What a reconcile says that the tiers cost: GPUs of pods that have a node, whatever they do, at the price of these."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from heterollm_controllers.cost.tier_cost import TierCost
from heterollm_controllers.reconcile.pipeline import reconcile
from tests.core.builders import api_tier
from tests.core.world import World, settled

H100 = 6.88
"""Dollars per hour, from the catalogue."""


def small(price: str | None = "2.5", **more: Any) -> dict[str, Any]:
    accelerator = {"type": "H100"} | ({"dollarsPerHour": price} if price else {})
    return api_tier(**{"accelerator": accelerator, "engine": {"gpus": 2}, **more})


def costs(world: World) -> dict[str, TierCost]:
    found = world.outcome().costs
    assert found is not None
    return {cost.tier: cost for cost in found}


def test_engines_cost_as_soon_as_their_pods_have_a_node() -> None:
    world = World(small(replicas={"fixed": 3}))
    world.reconcile()
    assert costs(world)["small"] == TierCost("small", 0, 0.0, engine_dollars_per_hour=5.0, last=True)
    world.tick()
    assert not world.ready()
    assert (costs(world)["small"].gpus, costs(world)["small"].dollars_per_hour) == (6, 15.0)


def test_an_engine_without_a_node_costs_nothing() -> None:
    world = World(small(replicas={"fixed": 2}))
    world.controllers.fits = lambda pod: pod["metadata"]["name"] == "demo-small-0-0"
    world.ticks(5)
    assert costs(world)["small"].gpus == 2


def test_nodes_of_one_engine_cost_one_by_one() -> None:
    world = World(small(engine={"gpus": 16, "nodes": 2}))
    world.controllers.fits = lambda pod: pod["metadata"]["name"].endswith("-0-0")
    world.ticks(2)
    assert costs(world)["small"].gpus == 8


def test_a_draining_engine_costs_until_its_pods_have_gone() -> None:
    world = settled(small(replicas={"fixed": 3}))
    world.change(small(replicas={"fixed": 2}))
    world.reconcile()
    assert costs(world)["small"].gpus == 6
    world.settle()
    assert costs(world)["small"].gpus == 4


def test_a_standby_engine_costs() -> None:
    world = settled(small(replicas={"fixed": 1, "standby": 1}))
    assert costs(world)["small"].gpus == 4


def test_the_price_is_the_spec_s_or_the_catalogue_s() -> None:
    world = settled(small(None))
    assert costs(world)["small"].dollars_per_hour == pytest.approx(2 * H100)
    world.change(small("2.5"))
    world.settle()
    assert costs(world)["small"].dollars_per_hour == 5.0


def test_an_unknown_price_is_no_dollars_and_says_why() -> None:
    world = settled(small(accelerator={"type": "TPU-9", "memoryGiB": 64}))
    assert costs(world)["small"] == TierCost("small", 2, None, last=True)
    (warning,) = world.status["tiers"][0]["sizing"]["warnings"]
    assert warning == "no cost is reported: the price of TPU-9 is not known; set accelerator.dollarsPerHour"
    world.change(small(accelerator={"type": "TPU-9", "memoryGiB": 64, "dollarsPerHour": "1"}))
    world.settle()
    assert costs(world)["small"].dollars_per_hour == 2.0
    assert "warnings" not in world.status["tiers"][0]["sizing"] or not world.status["tiers"][0]["sizing"]["warnings"]


def test_during_a_roll_out_to_other_gpus_each_engine_has_its_own_price() -> None:
    world = settled(small(replicas={"fixed": 2}))
    other = {"type": "A100-80GB", "nodeSelector": {"gpu": "a100"}}
    world.change(small(accelerator=other, replicas={"fixed": 2}))
    world.until(lambda: costs(world)["small"].gpus == 6)
    assert costs(world)["small"].dollars_per_hour == 2 * 2 * 2.5 + 2 * 4.0
    world.settle()
    assert costs(world)["small"].dollars_per_hour == 4 * 4.0


def test_other_gpus_for_the_same_pods_have_the_new_price() -> None:
    world = settled(small())
    world.change(small(accelerator={"type": "A100-80GB"}))
    world.settle()
    assert costs(world)["small"].dollars_per_hour == 2 * 4.0


def test_engines_of_a_removed_tier_cost_until_they_have_gone() -> None:
    world = settled(small(), api_tier("large", engine={"gpus": 4}))
    assert {name: cost.last for name, cost in costs(world).items()} == {"small": False, "large": True}
    world.change(small())
    world.reconcile()
    assert costs(world)["large"] == TierCost("large", None, None), "as before: its revision has gone first"
    assert costs(world)["small"].last
    world.settle()
    assert costs(world).keys() == {"small"}


def test_a_refused_spec_goes_on_costing_what_runs() -> None:
    world = settled(small())
    world.change(small(engine={"gpus": 3, "nodes": 2}))
    world.settle()
    assert world.condition("Accepted")["status"] == "False"
    assert (costs(world)["small"].gpus, costs(world)["small"].dollars_per_hour) == (2, 5.0)


def test_what_was_measured_is_an_engine_s_rate_even_where_nothing_is_sized() -> None:
    world = settled(small(engine={"gpus": 2, "measured": {"requestsPerSecond": "12.5"}}))
    assert costs(world)["small"].engine_rate == 12.5
    assert costs(settled(small()))["small"].engine_rate is None


def test_what_cannot_be_seen_is_not_zero() -> None:

    world = settled(small())
    unseen = replace(world.observed(), unseen=("pods",))
    assert reconcile(unseen, world.config, world.now).costs is None
