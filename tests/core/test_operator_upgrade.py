"""A new operator with other templates or defaults restarts no engine until the user's spec changes or asks for it."""

from __future__ import annotations

import pytest

from heterollm_controllers.api import names
from heterollm_controllers.api.installation import Config
from heterollm_controllers.api.v1alpha1.engine import EngineSpec
from heterollm_controllers.api.v1alpha1.tier import Tier
from heterollm_controllers.engines.revisions import asked_of
from heterollm_controllers.render import templates
from tests.core.builders import api_tier, spec
from tests.core.world import World, settled

OLD, NEW = Config().engine_image, "heterollm/engine:9"
TIERS = api_tier(replicas={"min": 2}), api_tier("large", engine={"gpus": 16})


def upgraded(*tiers: dict[str, object]) -> World:
    """A settled cluster after an upgrade of its operator."""
    world = settled(*(tiers or TIERS))
    world.upgrade_operator(Config(engine_image=NEW))
    return world


def test_engines_keep_running_and_the_cluster_says_so() -> None:
    world = upgraded()
    before, sets = world.uids(), world.uids("StatefulSet")
    assert not world.holds("UpdateAvailable")
    world.settle()
    assert world.uids() == before
    assert world.uids("StatefulSet") == sets
    assert world.ready()
    condition = world.condition("UpdateAvailable")
    assert (condition["status"], condition["reason"]) == ("True", "TemplateChanged")
    assert "small, large" in condition["message"]
    assert names.UPDATE in condition["message"]


def test_stored_engines_are_not_even_written() -> None:
    """A changed StatefulSet would come into force with the next pod that dies."""
    world = upgraded()
    before = len(world.server.writes)
    world.settle()
    assert world.server.writes[before:] == ["status HeteroLLMCluster demo"]


def test_changed_template_counts_like_a_changed_image(monkeypatch: pytest.MonkeyPatch) -> None:
    world = settled(*TIERS)
    before = world.uids()
    template = templates._ENVIRONMENT.get_template("engine.yaml.j2")
    source = (templates._TEMPLATES / "engine.yaml.j2").read_text()
    changed = source.replace("periodSeconds: 10", "periodSeconds: 11")
    assert changed != source
    monkeypatch.setattr(templates._ENVIRONMENT, "get_template", lambda name: _other(name, template.name, changed))
    templates._documents.cache_clear()
    world.restart_operator()
    try:
        world.settle()
    finally:
        templates._documents.cache_clear()
    assert world.uids() == before
    assert world.holds("UpdateAvailable")


def _other(name: str, replaced: str | None, source: str) -> object:
    environment = templates._ENVIRONMENT.overlay()
    if name == replaced:
        return environment.from_string(source)
    return environment.from_string((templates._TEMPLATES / name).read_text())


def test_opting_in_rolls_every_tier() -> None:
    world = upgraded()
    world.settle()
    world.annotate(names.UPDATE, "2026-01-01")
    world.settle()
    assert {*world.images().values(), *world.images("large").values()} == {NEW}
    assert world.ready()
    assert not world.holds("UpdateAvailable")
    assert world.condition("UpdateAvailable")["reason"] == "UpToDate"


def test_opting_in_before_the_upgrade_counts_once() -> None:
    world = World(*TIERS)
    world.annotate(names.UPDATE, "a")
    world.settle()
    world.upgrade_operator(Config(engine_image=NEW))
    world.settle()
    assert {*world.images().values()} == {OLD}
    world.annotate(names.UPDATE, "b")
    world.settle()
    assert {*world.images().values()} == {NEW}


def test_opting_in_when_there_is_nothing_new_restarts_nothing() -> None:
    world = settled(*TIERS)
    before = world.uids()
    for value in ("a", "b", "a", None, "c"):
        world.annotate(names.UPDATE, value)
        world.settle()
        assert world.uids() == before
        assert world.ready()


def test_taking_the_annotation_away_restarts_nothing() -> None:
    world = upgraded()
    world.annotate(names.UPDATE, "a")
    world.settle()
    before = world.uids()
    world.annotate(names.UPDATE, None)
    world.settle()
    world.change(*TIERS, routing={"replicas": 3})
    world.settle()
    assert world.uids() == before
    assert {*world.images().values()} == {NEW}


def test_changed_tier_comes_with_the_new_template_and_the_others_stay() -> None:
    world = upgraded()
    world.settle()
    before = world.uids()
    world.change(api_tier(replicas={"min": 2}, engine={"gpus": 2}), TIERS[1])
    world.settle()
    assert {*world.images().values()} == {NEW}
    assert world.uids()["demo-large-0-0"] == before["demo-large-0-0"]
    assert "large" in world.condition("UpdateAvailable")["message"]
    assert "small" not in world.condition("UpdateAvailable")["message"]


def test_scale_out_after_an_upgrade_uses_the_same_revision() -> None:
    world = upgraded()
    world.change(api_tier(replicas={"min": 4}), TIERS[1])
    world.settle()
    assert {*world.images().values()} == {OLD}
    assert len(world.serving()) == 4


def test_lost_engine_comes_back_as_it_was() -> None:
    world = upgraded()
    world.server.delete("StatefulSet", "demo-small-1")
    world.settle()
    assert world.images()["demo-small-1"] == OLD


def test_revert_in_the_middle_of_a_rollout_across_an_upgrade() -> None:
    world = settled(*TIERS)
    world.change(api_tier(replicas={"min": 2}, engine={"gpus": 2}), TIERS[1])
    world.ticks(2)
    world.upgrade_operator(Config(engine_image=NEW))
    world.change(*TIERS)
    world.settle()
    assert {*world.images().values()} == {OLD}


def test_going_back_to_the_old_operator_restarts_nothing() -> None:
    world = upgraded()
    world.settle()
    before = world.uids()
    world.upgrade_operator(Config())
    world.settle()
    assert world.uids() == before
    assert not world.holds("UpdateAvailable")


def test_routers_do_follow_the_operator() -> None:
    """They hold no state, roll one by one, and must understand this operator's policy."""
    world = upgraded()
    world.upgrade_operator(Config(router_image="heterollm/router:9"))
    world.settle()
    pod = world.server.objects["Deployment", "demo-router"]["spec"]["template"]["spec"]
    assert {item["image"] for item in pod["containers"]} == {"heterollm/router:9"}


class _NewerEngine(EngineSpec):
    """A later version of the API: another default, and a field more."""

    start_seconds: int = 999
    more: int = 7


class _NewerTier(Tier):
    engine: _NewerEngine = _NewerEngine()
    spare: bool = True


def test_newer_defaults_are_no_change_of_what_the_user_asked_for() -> None:
    written = api_tier(engine={"gpus": 2})
    older, newer = Tier.model_validate(written), _NewerTier.model_validate(written)
    assert newer.engine.start_seconds != older.engine.start_seconds
    assert asked_of(spec(), newer) == asked_of(spec(), older)
