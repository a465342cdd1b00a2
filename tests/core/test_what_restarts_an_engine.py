"""An engine is restarted only when what its pods run changes: of every field of the spec, whether it is that."""

from __future__ import annotations

import copy
import json
from types import SimpleNamespace
from typing import Any

import pytest

from heterollm_controllers.api import names
from heterollm_controllers.api.installation import Config
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.api.v1alpha1.status import TierStatus
from heterollm_controllers.api.v1alpha1.tier import Tier
from heterollm_controllers.engines import revisions
from heterollm_controllers.engines.revisions import Chosen, choose, keep
from heterollm_controllers.observation.revision import Revision
from heterollm_controllers.render.engine import engine_body
from heterollm_controllers.sizing import size
from tests.core.builders import api_tier, cluster, spec
from tests.core.edits import Edit, edited, leaves
from tests.core.field_edits import CONFIG_MAPS, EDITS, FREE, PLAIN
from tests.core.world import World, settled

NEWER = Config(engine_image="heterollm/engine:9")

Wire = dict[str, Any]


def chosen(
    tier: Wire, former: list[Revision], config: Config | None = None, security: dict[str, Any] | None = None
) -> Chosen:
    """What a tier runs, given its revisions as the API server has them."""
    wanted = spec(tier, security=security or {})
    return choose(cluster(), wanted, wanted.engine_tiers[0], former, None, config or Config(), CONFIG_MAPS)


def stored(choice: Chosen) -> Revision:
    return Revision(json.loads(json.dumps(choice.revision.manifest)))


def of_the_first_tier(wanted: Wire, former: list[Revision]) -> Chosen:
    """What the first tier of a whole spec runs."""
    tier, *_ = (tier for tier in wanted["tiers"] if "external" not in tier)
    return chosen(tier, former, security=wanted.get("security"))


def _is_a_price_or_a_measurement(edit: Edit) -> bool:
    return edit.path.startswith(("tiers[].accelerator.dollarsPerHour", "tiers[].engine.measured."))


def test_every_field_is_in_the_table() -> None:
    """A new field needs a row."""
    assert {edit.path for edit in EDITS} == {*leaves(HeteroLLMClusterSpec)}


@pytest.mark.parametrize("edit", EDITS, ids=str)
def test_an_edit_restarts_engines_if_their_pods_change(edit: Edit) -> None:
    before = of_the_first_tier(edit.before, [])
    after = of_the_first_tier(edit.after, [stored(before)])
    fresh = of_the_first_tier(edit.after, [])
    assert (fresh.revision.engine != before.revision.engine) == edit.effect.rolls
    assert after.is_new == edit.effect.rolls
    assert not after.update_available


@pytest.mark.parametrize("edit", EDITS, ids=str)
def test_so_it_is_after_an_upgrade_of_the_operator(edit: Edit, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new operator would start any engine differently, and only an edit that changes pods lets it."""
    before = stored(of_the_first_tier(edit.before, []))

    def newer(*args: Any) -> Wire:
        body = copy.deepcopy(engine_body(*args))
        body["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] += 1
        return body

    monkeypatch.setattr(revisions, "engine_body", newer)
    after = of_the_first_tier(edit.after, [before])
    assert after.is_new == edit.effect.rolls
    assert after.update_available == (not edit.effect.rolls)


@pytest.mark.parametrize("objective", ["throughput", "latency", "cost"])
@pytest.mark.parametrize("edit", [edit for edit in EDITS if _is_a_price_or_a_measurement(edit)], ids=str)
def test_no_price_or_measurement_chooses_another_engine(edit: Edit, objective: str) -> None:
    """Whatever free sizes are chosen for: the table says of these that no value rolls."""
    wanted = edited(edit.before, "tiers[].engine", {"objective": objective})
    before = stored(of_the_first_tier(wanted, []))
    for value in ("0.001", "1", "100000"):
        assert not of_the_first_tier(edited(wanted, edit.path, value), [before]).is_new


def test_of_the_rest_of_a_spec_an_engine_depends_on_the_key_alone() -> None:
    """A spec that has nothing else is enough to render it."""
    wanted = spec(PLAIN, security={"apiKeySecret": {"name": "s", "key": "k"}})
    tier = wanted.engine_tiers[0]
    bare: Any = SimpleNamespace(security=SimpleNamespace(api_key_secret=wanted.security.api_key_secret))
    rendered = engine_body(cluster(), wanted, tier, size(tier), Config())
    assert engine_body(cluster(), bare, tier, size(tier), Config()) == rendered


def test_the_key_restarts_engines_that_use_it() -> None:
    key = {"apiKeySecret": {"name": "s", "key": "k"}}
    assert chosen(PLAIN, [stored(chosen(PLAIN, []))], security=key).is_new
    own = edited(PLAIN, "engine.args", ["--api-key", "$(API_KEY)"])
    own["engine"]["env"] = [{"name": "API_KEY", "value": "theirs"}]
    assert not chosen(own, [stored(chosen(own, []))], security=key).is_new


def test_a_spec_that_this_operator_cannot_make_an_engine_of_is_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    before = stored(chosen(FREE, []))
    priced = edited(FREE, "accelerator.dollarsPerHour", "9.5")

    def stricter(tier: Tier, *rest: Any) -> Any:
        if tier.accelerator.dollars_per_hour is None:
            raise KeyError("price")
        return size(tier, *rest)

    monkeypatch.setattr(revisions, "size", stricter)
    assert chosen(priced, [before], NEWER).is_new
    assert not chosen(priced, [before]).is_new, "unless its pods would be the very same"


def test_revisions_of_earlier_operators_do_not_say_what_was_asked() -> None:
    """They stand for exactly their spec, as ever."""
    manifest = stored(chosen(FREE, [])).manifest
    before = Revision({**manifest, "data": {key: value for key, value in manifest["data"].items() if key != "asked"}})
    assert not chosen(FREE, [before]).is_new
    assert not chosen(FREE, [before], NEWER).is_new


# --- the same in a whole cluster


def running(world: World) -> tuple[Any, ...]:
    return world.uids(), world.uids("StatefulSet"), world.uids("ControllerRevision")


def priced(dollars: str = "9.5", **engine: Any) -> Wire:
    accelerator = {"type": "A100-80GB", "dollarsPerHour": dollars}
    return {**FREE, "accelerator": accelerator, "engine": engine}


def cost(world: World) -> float:
    return float(world.status["tiers"][0]["sizing"]["performance"]["costPer1000Requests"])


def test_a_price_changes_the_report_and_no_engine() -> None:
    world = settled(FREE)
    before, old = running(world), cost(world)
    world.change(priced("50"))
    world.reconcile()
    assert world.ready(), "nothing is rolled out"
    world.settle()
    assert running(world) == before
    assert cost(world) > 5 * old
    assert world.condition("Accepted")["observedGeneration"] == world.cluster["metadata"]["generation"]
    assert not world.holds("UpdateAvailable")
    world.restart_operator()
    writes = len(world.server.writes)
    world.settle()
    assert len(world.server.writes) == writes


def test_a_measured_speed_is_what_the_tier_is_steered_by() -> None:
    world = settled(FREE)
    before = running(world)
    world.change({**FREE, "engine": {"measured": {"requestsPerSecond": "0.5"}}})
    world.settle()
    assert running(world) == before
    recheck = world.outcome().recheck
    assert recheck is not None
    assert recheck.tiers[0].rate == 0.5


def test_a_report_outlives_a_spec_that_is_refused() -> None:
    world = settled(FREE)
    world.change(priced("50"))
    world.settle()
    before, told = running(world), cost(world)
    world.change(priced("60", gpus=3))
    world.settle()
    assert world.condition("Accepted")["status"] == "False"
    assert cost(world) == told
    assert running(world) == before


def test_prices_and_upgrades_in_any_order_restart_nothing() -> None:
    world = settled(FREE)
    before = running(world)
    world.change(priced("50"))
    world.settle()
    world.upgrade_operator(NEWER)
    world.settle()
    dear = cost(world)
    world.change(priced("1"))
    world.settle()
    assert running(world) == before
    assert cost(world) < dear
    assert world.holds("UpdateAvailable")
    world.change({**priced("2"), "replicas": {"min": 2}})
    world.settle()
    assert {*world.images().values()} == {Config().engine_image}


def test_opting_in_after_a_new_price_restarts_nothing_while_there_is_nothing_new() -> None:
    world = settled(FREE)
    before = running(world)
    world.change(priced())
    world.annotate(names.UPDATE, "a")
    world.settle()
    world.annotate(names.UPDATE, "b")
    world.settle()
    assert running(world) == before
    assert world.ready()
    world.upgrade_operator(NEWER)
    world.settle()
    assert running(world) == before
    world.annotate(names.UPDATE, "c")
    world.settle()
    assert {*world.images().values()} == {NEWER.engine_image}


def test_the_order_of_tiers_restarts_nothing() -> None:
    world = settled(api_tier(), api_tier("large"))
    before = running(world)
    world.change(api_tier("large"), api_tier())
    world.settle()
    assert running(world) == before


def test_the_report_describes_the_engine_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator that would size it otherwise keeps the engine, and what was said of it."""
    world = settled(FREE)
    before, told = running(world), world.status["tiers"][0]["sizing"]
    monkeypatch.setattr(
        revisions, "size", lambda tier, *rest: size(tier, *rest).model_copy(update={"gpus_per_engine": 8, "nodes": 1})
    )
    world.restart_operator()
    world.change(priced())
    world.settle()
    assert running(world) == before
    assert world.status["tiers"][0]["sizing"] == told


def test_a_report_on_a_revision_that_is_gone_says_nothing_of_the_one_that_runs() -> None:
    world = settled(FREE)
    [item] = [item for item in world.observed().children if item["kind"] == "ControllerRevision"]
    tier = Tier.model_validate(FREE)
    other = {**item["data"]["sizing"], "nodes": 7}
    for recorded, nodes in ((item["metadata"]["name"], 7), ("demo-small-gone", item["data"]["sizing"]["nodes"])):
        before = TierStatus.model_validate(
            {"name": "small", "revision": recorded, "desired": 1, "serving": 1, "updated": 1, "sizing": other}
        )
        kept = keep(tier, [Revision(item)], before)
        assert kept is not None
        assert (kept.name, kept.sizing.nodes) == (item["metadata"]["name"], nodes)


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_revisions_for_one_spec_the_newest_runs(order: int) -> None:
    """Both are there while an update of the templates, once opted in to, rolls out."""
    world = settled(FREE)
    [older] = [item for item in world.observed().children if item["kind"] == "ControllerRevision"]
    newer = {**older, "metadata": {**older["metadata"], "name": "newer"}, "revision": older["revision"] + 1}
    revisions = [Revision(older), Revision(newer)][::order]
    tier = Tier.model_validate({**FREE, "replicas": {"min": 3, "max": 5}, "scaling": {"queueLength": 7}})
    assert choose(cluster(), spec(FREE), tier, revisions, None, Config(), {}).name == "newer"
    kept = keep(tier, revisions, None)
    assert kept is not None
    assert kept.name == "newer"
    assert (kept.tier.replicas, kept.tier.scaling) == (tier.replicas, tier.scaling), "the numbers are of the new spec"
