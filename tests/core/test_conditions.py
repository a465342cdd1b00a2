"""What a cluster says of itself: kstatus conditions of the current generation, each with its reason."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import timedelta

import pytest

from heterollm_controllers.api.v1alpha1.status import HeteroLLMClusterStatus
from heterollm_controllers.api.vocabulary import ConditionType, Reason
from heterollm_controllers.status.conditions import ConditionUpdate, conditions, previous, transitions
from tests.core.builders import NOW, api_tier
from tests.core.world import Crash, World, settled

ALL = [
    "Accepted",
    "Programmed",
    "Ready",
    "Reconciling",
    "Stalled",
    "UpdateAvailable",
    "TiersCompatible",
    "MetricsAvailable",
]


def test_settled_cluster() -> None:
    world = settled(api_tier())
    assert {item["type"]: (item["status"], item["reason"]) for item in world.status["conditions"]} == {
        "Accepted": ("True", "Valid"),
        "Programmed": ("True", "Applied"),
        "Ready": ("True", "Serving"),
        "Reconciling": ("False", "Settled"),
        "Stalled": ("False", "Settled"),
        "UpdateAvailable": ("False", "UpToDate"),
        "TiersCompatible": ("True", "SameFamily"),
        "MetricsAvailable": ("False", "NotConfigured"),
    }


def test_every_condition_is_always_there_and_speaks_of_the_observed_generation() -> None:
    world = World(api_tier())
    for image in ("a", "b", "broken"):
        world.change(api_tier(engine={"image": image}))
        for _ in range(8):
            world.tick()
            assert [item["type"] for item in world.status["conditions"]] == ALL
            generation = world.cluster["metadata"]["generation"]
            assert world.status["observedGeneration"] == generation
            assert {item["observedGeneration"] for item in world.status["conditions"]} == {generation}


def test_reconciling_and_ready_are_never_true_together_nor_with_stalled() -> None:
    world = World(api_tier())
    for tier in (api_tier(), api_tier(engine={"image": "new"}), api_tier(accelerator={"type": "X1"})):
        world.change(tier)
        for _ in range(10):
            world.tick()
            holding = [kind for kind in ("Ready", "Reconciling", "Stalled") if world.holds(kind)]
            assert len(holding) == 1, holding


def test_first_look_at_a_new_generation_takes_ready_back() -> None:
    """So that nobody who waits for Ready takes the former generation's word."""
    world = settled(api_tier())
    assert world.ready()
    world.change(api_tier(engine={"image": "new"}))
    assert not world.ready()
    world.reconcile()
    assert not world.ready()
    assert world.condition("Programmed")["reason"] == "Applying"


def test_ready_only_once_nothing_older_serves() -> None:
    world = settled(api_tier(replicas={"min": 2}))
    world.change(api_tier(replicas={"min": 2}, engine={"image": "new"}))
    for _ in range(60):
        world.tick()
        if world.ready():
            break
        assert world.condition("Ready")["reason"] in ("Applying", "RollingOut")
    assert {*world.images().values()} == {"new"}
    assert [*world.engines()] == world.serving()


def test_ready_is_not_even_recorded_before_the_policy_routes_to_what_serves() -> None:
    """The status is written first, so that a client could act on it before the policy is out."""
    world = World(api_tier())
    for _ in range(10):
        world.controllers.tick()
        for _ in range(4):
            with contextlib.suppress(Crash):
                world.reconcile(effects=1)
            if world.ready():
                assert world.serving() == ["demo-small-0"]
            world.reconcile()
    assert world.ready()


def test_ready_waits_for_the_routers() -> None:
    world = World(api_tier())
    world.controllers.routers_start = False
    world.ticks(6)
    assert world.condition("Ready")["reason"] == "RoutersStarting"
    assert world.condition("Ready")["message"] == "0/2 routers are ready"
    world.controllers.routers_start = True
    world.settle()
    assert world.ready()


def test_report_on_the_former_routers_is_not_taken_for_the_new_ones() -> None:
    world = settled(api_tier())
    world.change(api_tier(), routing={"image": "router:new"})
    world.reconcile_until_quiet()
    assert world.holds("Programmed")
    assert world.condition("Ready")["reason"] == "RoutersStarting"
    world.settle()
    assert world.ready()


def _crash(world: World) -> None:
    world.controllers.crash("demo-small-0-0")


def _no_node(world: World) -> None:
    world.controllers.fits = lambda pod: False
    world.server.delete("Pod", "demo-small-0-0")


def _scale_in(world: World) -> None:
    world.change(api_tier(replicas={"min": 1}))


def _lose_rank(world: World) -> None:
    world.server.delete("Pod", "demo-small-0-1")


@pytest.mark.parametrize(
    ("tier", "event", "reason", "message"),
    [
        (api_tier(), _crash, "EnginesStarting", "tier small: 0/1 engines serve"),
        (api_tier(), _no_node, "EnginesUnschedulable", "demo-small-0 finds no node: no GPUs"),
        (api_tier(replicas={"min": 2}), _scale_in, "EnginesDraining", "demo-small-1 finish"),
        (api_tier(engine={"gpus": 16}), _lose_rank, "EngineRestarting", "demo-small-0 is restarted as a whole"),
    ],
)
def test_why_a_cluster_is_not_ready(
    tier: dict[str, object], event: Callable[[World], None], reason: str, message: str
) -> None:
    world = settled(tier)
    event(world)
    seen = []
    for _ in range(24):
        world.reconcile()
        seen.append((world.condition("Ready")["reason"], world.condition("Ready")["message"]))
        if len(seen) % 3 == 0:
            world.tick(reconcile=False)
    assert any(r == reason and message in m for r, m in seen), seen


def test_failed_apply_is_told_and_taken_back() -> None:
    world = settled(api_tier())
    world.server.rejects = lambda manifest: "quota exceeded" if manifest["kind"] == "Service" else None
    world.server.delete("Service", "demo")
    world.ticks(3)
    programmed = world.condition("Programmed")
    assert (programmed["status"], programmed["reason"]) == ("False", "ApplyFailed")
    assert "quota exceeded" in programmed["message"]
    assert world.holds("Reconciling")
    world.server.rejects = lambda manifest: None
    world.settle()
    assert world.ready()


def test_transition_time_moves_with_the_status_only() -> None:
    world = settled(api_tier(replicas={"min": 2}))
    since = world.condition("Ready")["lastTransitionTime"]
    world.ticks(5)
    world.change(api_tier(replicas={"min": 2}), routing={"complexityThreshold": "0.1"})
    accepted = world.condition("Accepted")["lastTransitionTime"]
    world.settle()
    assert world.condition("Accepted")["lastTransitionTime"] == accepted
    assert world.condition("Ready")["lastTransitionTime"] > since


READY = ConditionUpdate(ConditionType.READY, True, Reason.SERVING, "all")
NOT_READY = ConditionUpdate(ConditionType.READY, False, Reason.ENGINES_STARTING, "none")


def test_messages_may_change_without_a_transition() -> None:
    first = conditions([NOT_READY], {}, 1, NOW)
    before = previous(HeteroLLMClusterStatus(conditions=first))
    later = NOW + timedelta(minutes=1)
    [second] = conditions([NOT_READY._replace(message="some")], before, 2, later)
    assert (second.message, second.observed_generation) == ("some", 2)
    assert second.last_transition_time == NOW
    [third] = conditions([READY], before, 2, later)
    assert third.last_transition_time == later


def test_endless_message_is_cut_to_what_the_schema_takes() -> None:
    [condition] = conditions([NOT_READY._replace(message="x" * 10_000)], {}, 1, NOW)
    assert len(condition.message) == 4096


def events_between(before: ConditionUpdate | None, after: ConditionUpdate) -> list[tuple[str, str]]:
    known = conditions([before], {}, 1, NOW) if before is not None else ()
    old = previous(HeteroLLMClusterStatus(conditions=known))
    return [(event.kind, event.reason) for event in transitions(old, conditions([after], old, 1, NOW))]


REFUSED = ConditionUpdate(ConditionType.ACCEPTED, False, Reason.UNKNOWN_ACCELERATOR, "")
VALID = ConditionUpdate(ConditionType.ACCEPTED, True, Reason.VALID, "")


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, READY, [("Normal", "Serving")]),
        (READY, READY, []),
        (READY, NOT_READY, [("Normal", "EnginesStarting")]),
        (NOT_READY, READY, [("Normal", "Serving")]),
        (NOT_READY, NOT_READY._replace(message="other message"), []),
        (NOT_READY, ConditionUpdate(ConditionType.READY, False, Reason.ROLLING_OUT, ""), [("Normal", "RollingOut")]),
        (None, VALID, []),
        (None, REFUSED, [("Warning", "UnknownAccelerator")]),
        (REFUSED, VALID, [("Normal", "Valid")]),
        (
            REFUSED,
            ConditionUpdate(ConditionType.ACCEPTED, False, Reason.GPUS_DO_NOT_DIVIDE, ""),
            [("Warning", "GpusDoNotDivide")],
        ),
        (READY, ConditionUpdate(ConditionType.READY, False, Reason.APPLYING, ""), []),
        (None, ConditionUpdate(ConditionType.STALLED, True, Reason.NAME_CONFLICT, ""), []),
    ],
)
def test_events_tell_transitions_once(
    before: ConditionUpdate | None, after: ConditionUpdate, expected: list[tuple[str, str]]
) -> None:
    assert events_between(before, after) == expected
