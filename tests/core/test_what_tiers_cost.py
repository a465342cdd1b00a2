"""What a reconcile says that the tiers cost: GPUs of pods that have a node, whatever they do, at the price of these."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from heterollm_controllers.cost.tier_cost import TierCost, gpus_held
from heterollm_controllers.observation.engines import ObservedEngine, ObservedPod
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


def removed(world: World) -> TierCost:
    """What the tier large costs at the first look after the spec has lost it."""
    world.change(small())
    return costs(world)["large"]


def test_the_engines_of_a_removed_tier_have_the_price_they_were_made_for() -> None:
    world = settled(small(), api_tier("large", engine={"gpus": 4}))
    large = removed(world)
    assert large.gpus == 4
    assert large.dollars_per_hour == pytest.approx(4 * H100)
    assert (large.engine_dollars_per_hour, large.last) == (None, False)


def test_gpus_that_the_catalogue_has_lost_since_have_no_price() -> None:
    world = settled(small(), api_tier("large", engine={"gpus": 4}))
    for revision in world.server.of_kind("ControllerRevision"):
        if revision["data"]["tier"]["name"] == "large":
            name = revision["metadata"]["name"]
            world.server.edit(
                "ControllerRevision", name, lambda live: live["data"]["tier"].update(accelerator={"type": "GONE"})
            )
    assert removed(world) == TierCost("large", 4, None)


def test_a_roll_out_from_gpus_without_a_price_has_no_dollars_until_they_have_gone() -> None:
    world = settled(small(accelerator={"type": "TPU-9", "memoryGiB": 64}))
    world.change(small(accelerator={"type": "A100-80GB", "nodeSelector": {"gpu": "a100"}}))
    world.until(lambda: costs(world)["small"].gpus == 4)
    assert costs(world)["small"].dollars_per_hour is None
    world.settle()
    assert costs(world)["small"].dollars_per_hour == 8.0


def test_an_engine_whose_revision_is_lost_is_as_large_as_its_tier_s() -> None:
    world = settled(small())
    for revision in world.server.of_kind("ControllerRevision"):
        world.server.delete("ControllerRevision", revision["metadata"]["name"])
    assert (costs(world)["small"].gpus, costs(world)["small"].dollars_per_hour) == (2, 5.0)


def pod(rank: int, **more: bool) -> ObservedPod:
    facts: dict[str, Any] = {"ready": False, "leaving": False, "failed": False, "bound": True, **more}
    rest: dict[str, Any] = {"restarts": 0, "revision": "r", "unschedulable": None, "created": None, "grace": None}
    return ObservedPod(f"p-{rank}", f"uid-{rank}", rank, None, **facts, **rest)


@pytest.mark.parametrize(
    ("pods", "held"),
    [
        ((), 0),
        ((pod(0), pod(1)), 16),
        ((pod(0), pod(1, bound=False)), 8),
        ((pod(0), pod(1, leaving=True)), 16),
        ((pod(0), pod(1, failed=True)), 8),
        ((pod(0), pod(1), pod(1, leaving=True)), 16),
    ],
    ids=["no pods", "both", "one without a node", "one that ends", "one that has ended", "one twice"],
)
def test_pods_hold_their_gpus_from_a_node_to_their_end(pods: tuple[ObservedPod, ...], held: int) -> None:
    assert gpus_held(ObservedEngine("e", "uid", "small", 0, "r", 2, False, pods), 16) == held


def test_a_sized_engine_does_what_is_estimated() -> None:
    tier = small(model={"id": "Qwen/Qwen3-4B"}, accelerator={"type": "A100-80GB"})
    world = settled(tier)
    estimated = float(world.status["tiers"][0]["sizing"]["performance"]["requestsPerSecond"])
    assert costs(world)["small"].engine_rate == estimated > 1


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


PRICES = {"input": "0.15", "output": "0.6"}


def outside(**more: Any) -> dict[str, Any]:
    return {"name": "outside", "external": {"url": "https://far/v1", "model": "org/far", **more}}


@pytest.mark.parametrize(("more", "prices"), [({"dollarsPerMillionTokens": PRICES}, (0.15, 0.6)), ({}, None)])
def test_a_service_bills_tokens_and_holds_no_gpus(more: dict[str, Any], prices: tuple[float, float] | None) -> None:
    found = costs(settled(small(), outside(**more)))
    assert found["outside"] == TierCost("outside", 0, None, last=True, token_prices=prices)
    assert not found["small"].last


def test_engines_that_a_service_of_the_same_name_replaces_cost_until_they_have_gone() -> None:
    world = settled(small(), small() | {"name": "outside"})
    world.change(small(), outside(dollarsPerMillionTokens=PRICES))
    world.reconcile()
    as_before = None
    assert costs(world)["outside"] == TierCost("outside", as_before, None, last=True, token_prices=(0.15, 0.6))
    world.settle()
    assert costs(world)["outside"] == TierCost("outside", 0, None, last=True, token_prices=(0.15, 0.6))
