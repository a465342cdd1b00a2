"""What the API server has against a tier's new engines stops nothing but these, and ends when it ends."""

from __future__ import annotations

import pytest

from heterollm_controllers.api.vocabulary import Reason
from tests.core.builders import api_tier
from tests.core.fake_server import Body
from tests.core.world import World, settled

NEW = {"image": "new"}
REFUSALS = [
    pytest.param(Reason.POD_TEMPLATE_INVALID, "False", "NotAccepted", "Stalled", id="template"),
    pytest.param(Reason.FORBIDDEN, "False", "NotAccepted", "Stalled", id="policy or quota"),
    pytest.param(Reason.NOT_CHECKED, "Unknown", "NotChecked", "Reconciling", id="no answer"),
]


def no_new_engines(manifest: Body) -> str | None:
    """As a policy that denies engines which do not exist yet."""
    if manifest["kind"] == "StatefulSet" and manifest["spec"]["template"]["spec"]["containers"][0]["image"] == "new":
        return "the words of the server"
    return None


def obstruct(world: World, reason: Reason) -> None:
    world.server.rejects, world.server.refuses_as = no_new_engines, reason


def give_way(world: World) -> None:
    world.server.rejects = lambda _: None


@pytest.mark.parametrize(("reason", "accepted", "ready", "holds"), REFUSALS)
def test_new_cluster_has_its_status_policy_and_routers(reason: Reason, accepted: str, ready: str, holds: str) -> None:
    world = World(api_tier(engine=NEW), api_tier("large"))
    obstruct(world, reason)
    world.ticks(6)
    condition = world.condition("Accepted")
    assert (condition["status"], condition["reason"]) == (accepted, reason)
    assert condition["message"] == "tier small: the words of the server"
    assert world.condition("Ready")["reason"] == ready
    assert world.holds(holds)
    assert world.engines() == {}
    assert world.serving("large") == ["demo-large-0"]
    assert world.status["routing"]["routers"] == 2
    give_way(world)
    world.settle()
    assert world.ready()


@pytest.mark.parametrize(("reason", "accepted", "ready", "holds"), REFUSALS)
def test_serving_cluster_goes_on(reason: Reason, accepted: str, ready: str, holds: str) -> None:
    world = settled(api_tier(replicas={"min": 2}))
    images = {*world.images().values()}
    obstruct(world, reason)
    changes = {"routing": {"complexityThreshold": "0.3"}}
    world.change(api_tier(replicas={"min": 3}, engine=NEW), **changes)
    world.ticks(6)
    assert world.condition("Accepted")["status"] == accepted
    assert world.status["observedGeneration"] == world.cluster["metadata"]["generation"]
    assert len(world.serving()) == 3
    assert {*world.images().values()} == images
    assert "0.3" in str(world.policy())

    world.server.delete("Service", "demo")
    world.server.delete("StatefulSet", "demo-small-1")
    world.controllers.crash("demo-small-0-0")
    world.tick()
    assert world.server.get("Service", "demo")
    assert "demo-small-0" not in world.serving()
    world.ticks(6)
    assert len(world.serving()) == 3
    assert {*world.images().values()} == images


@pytest.mark.parametrize(("reason", "accepted", "ready", "holds"), REFUSALS)
def test_what_ends_without_an_edit_is_noticed(reason: Reason, accepted: str, ready: str, holds: str) -> None:
    world = settled(api_tier())
    obstruct(world, reason)
    world.change(api_tier(engine=NEW))
    world.ticks(10)
    assert world.condition("Ready")["reason"] == ready
    give_way(world)
    world.settle()
    assert world.ready()
    assert {*world.images().values()} == {"new"}


def test_what_is_wrong_for_sure_counts_before_what_is_not_known() -> None:
    world = World(api_tier(engine=NEW), api_tier("large", engine={"gpus": 9}))
    obstruct(world, Reason.NOT_CHECKED)
    world.ticks(3)
    condition = world.condition("Accepted")
    assert (condition["status"], condition["reason"]) == ("False", "GpusDoNotDivide")
    assert "tier small: the words of the server; tier large: " in condition["message"]


def test_steady_refusal_costs_no_write() -> None:
    world = settled(api_tier())
    obstruct(world, Reason.NOT_CHECKED)
    world.change(api_tier(engine=NEW))
    world.ticks(6)
    writes, asked = list(world.server.writes), world.server.dry_runs
    world.ticks(5)
    assert world.server.writes == writes
    assert world.server.dry_runs > asked


def test_engines_stay_routed_while_a_refused_spec_meets_a_lost_record() -> None:
    """The former revision is not known by name any more; the newest that engines run is as good."""
    world = settled(api_tier())
    obstruct(world, Reason.FORBIDDEN)
    world.change(api_tier(engine=NEW))
    world.ticks(3)
    world.server.update_status(world.cluster, {})
    world.ticks(3)
    assert world.serving() == ["demo-small-0"]


def test_refused_engine_stops_no_other_child_and_is_said() -> None:
    """Its revision is accepted already: the API server refuses it when it is made."""
    world = settled(api_tier(), api_tier("large", engine={"image": "large"}))
    world.server.rejects = lambda item: "exceeded quota" if item["metadata"]["name"] == "demo-small-1" else None
    world.change(api_tier(replicas={"min": 2}), api_tier("large", engine={"image": "large"}, replicas={"min": 2}))
    world.ticks(6)
    assert len(world.serving("large")) == 2
    programmed = world.condition("Programmed")
    assert (programmed["status"], programmed["reason"]) == ("False", "ApplyFailed")
    assert programmed["message"] == "StatefulSet demo-small-1 is refused: exceeded quota"
    world.server.rejects = lambda _: None
    world.settle()
    assert world.ready()


def test_refused_revision_makes_no_engine_that_nobody_knows() -> None:
    world = settled(api_tier())
    world.server.rejects = lambda item: "exceeded quota" if item["kind"] == "ControllerRevision" else None
    world.change(api_tier(engine=NEW))
    world.ticks(6)
    assert {*world.images().values()} != {"new"}
    assert world.serving() == ["demo-small-0"]
    assert "exceeded quota" in world.condition("Programmed")["message"]
    world.server.rejects = lambda _: None
    world.settle()
    assert {*world.images().values()} == {"new"}


def test_refused_policy_deletes_no_engine() -> None:
    """The routers would go on sending it requests; the world fails where a routed engine is deleted."""
    world = settled(api_tier(replicas={"min": 2}))
    world.server.rejects = lambda item: "too large" if item["kind"] == "ConfigMap" else None
    world.change(api_tier(replicas={"min": 1}))
    world.ticks(6)
    assert len(world.engines()) == 2
    world.server.rejects = lambda _: None
    world.settle()
    assert len(world.engines()) == 1
