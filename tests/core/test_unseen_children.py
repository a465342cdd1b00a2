"""Children that may not be watched may exist: nothing is done about them, and their owner is told."""

from __future__ import annotations

from dataclasses import replace

from heterollm_controllers.api.installation import Config
from heterollm_controllers.api.timestamps import parse
from heterollm_controllers.reconcile.contract import Observed, Outcome
from heterollm_controllers.reconcile.pipeline import reconcile
from tests.core.builders import api_tier
from tests.core.world import World, settled

NOW = parse("2026-06-01T00:00:00Z")


def unseen(world: World) -> Outcome:
    """A look at the cluster of which no child is seen."""
    return reconcile(Observed(world.cluster, unseen=("pods", "statefulsets")), Config(), NOW)


def test_nothing_is_touched() -> None:
    outcome = unseen(settled(api_tier()))
    assert (outcome.apply, outcome.delete, outcome.check, outcome.recheck) == ((), (), (), None)


def test_only_the_condition_changes() -> None:
    world = settled(api_tier())
    before, after = world.status, unseen(world).status
    said = {item["type"]: item for item in after["conditions"]}
    programmed = said.pop("Programmed")
    assert (programmed["status"], programmed["reason"]) == ("False", "WatchRefused")
    assert "pods, statefulsets" in programmed["message"]
    assert said == {item["type"]: item for item in before["conditions"] if item["type"] != "Programmed"}
    assert {**after, "conditions": []} == {**before, "conditions": []}


def test_it_is_said_once() -> None:
    world = settled(api_tier())
    first = unseen(world)
    assert [event.reason for event in first.events] == ["WatchRefused"]
    again = reconcile(
        replace(Observed({**world.cluster, "status": first.status}), unseen=("pods", "statefulsets")), Config(), NOW
    )
    assert again.status == first.status
    assert again.events == ()


def test_a_new_cluster_hears_of_it_too() -> None:
    (condition,) = unseen(World(api_tier())).status["conditions"]
    assert condition["reason"] == "WatchRefused"
