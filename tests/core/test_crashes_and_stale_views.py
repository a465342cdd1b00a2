"""Whenever the operator dies and however old its view is, everything ends up as wanted: nothing lost, nothing twice."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from heterollm_controllers.api import names
from heterollm_controllers.api.installation import Config
from tests.core.builders import api_tier
from tests.core.properties import quick
from tests.core.world import NAME, Crash, View, World, settled

_CLUSTER = (names.KIND, NAME)


def shape(world: World) -> dict[str, Any]:
    """Everything there is, but for what a different history may number differently."""
    numbered = ("StatefulSet", "Pod", "ControllerRevision")
    return {
        "objects": sorted(key for key in world.server.objects if key[0] not in numbered),
        "revisions": len(world.server.of_kind("ControllerRevision")),
        "pods": len(world.server.of_kind("Pod")),
        "images": {tier: sorted(world.images(tier).values()) for tier in ("small", "large")},
        "serving": {tier: len(world.serving(tier)) for tier in ("small", "large")},
        "routed": len(world.routed_addresses()),
        "ready": world.ready(),
        "conditions": [(item["type"], item["status"], item["reason"]) for item in world.status["conditions"]],
    }


def fresh(tiers: list[dict[str, Any]]) -> dict[str, Any]:
    """The same spec, had nothing ever gone wrong."""
    return shape(settled(*tiers))


_GANG = {"gpus": 16, "placementSeconds": 10}
_TWO = [api_tier(replicas={"min": 2}), api_tier("large", engine=_GANG)]
_CHANGES: dict[str, list[dict[str, Any]]] = {
    "create": _TWO,
    "roll out": [api_tier(replicas={"min": 2}, engine={"image": "new"}), _TWO[1]],
    "scale in": [api_tier(replicas={"min": 1}), _TWO[1]],
    "scale out": [api_tier(replicas={"min": 3}), _TWO[1]],
    "remove a tier": [_TWO[0]],
    "roll the gang": [_TWO[0], api_tier("large", engine={**_GANG, "image": "new"})],
}


def moments(change: str) -> Iterator[World]:
    """The worlds in which the operator is about to look, during a change."""
    world = World(*_TWO) if change == "create" else settled(*_TWO)
    world.change(*_CHANGES[change])
    for _ in range(6):
        world.controllers.tick()
        yield world
        world.reconcile_until_quiet()


def count_effects(world: World) -> int:
    outcome = world.outcome()
    return len(outcome.events) + len(outcome.apply) + len(outcome.delete)


@pytest.mark.parametrize("change", _CHANGES)
def test_crash_before_any_effect_of_any_look(change: str) -> None:
    expected = fresh(_CHANGES[change])
    for moment in moments(change):
        last = count_effects(moment)
        # A look that makes a whole cluster has many effects that are alike.
        for effects in range(1, last + 1, 1 + last // 8):
            world = moment.copy()
            with pytest.raises(Crash):
                world.reconcile(effects=effects)
            world.restart_operator()
            world.settle()
            assert shape(world) == expected


def test_leader_whose_watches_stand_still_is_refused_before_any_effect() -> None:
    """Its status is already on record, so that the write of the status alone would not tell it."""
    world = settled(*_TWO)
    world.change(*_TWO, routing={"complexityThreshold": "0.1"})
    with pytest.raises(Crash):
        world.reconcile(effects=1)
    past = world.view()
    assert world.outcome(past).status == world.status
    world.restart_operator()
    world.settle()
    world.change(*_TWO, routing={"complexityThreshold": "0.9"})
    world.settle()
    before = world.view()
    world.reconcile(past)
    assert world.view() == before


class Chaos(RuleBasedStateMachine):
    """Users, failures, operators that die, and views of any age, in any order."""

    @initialize()
    def create(self) -> None:
        self.world = World(*_TWO)
        self.history: list[View] = [self.world.view()]
        self.tiers = _TWO

    def _remember(self) -> None:
        self.history = [*self.history[-8:], self.world.view()]

    # --- users

    @rule(
        replicas=st.integers(0, 3),
        image=st.sampled_from(["one", "two", "broken"]),
        gpus=st.sampled_from([1, 16, 9]),
        large=st.booleans(),
    )
    def change(self, replicas: int, image: str, gpus: int, large: bool) -> None:
        small = api_tier(replicas={"min": replicas}, engine={"image": image, "gpus": gpus})
        self.tiers = [small, _TWO[1]] if large else [small]
        self.world.change(*self.tiers)
        self._remember()

    @rule(value=st.sampled_from(["a", "b", None]))
    def opt_in(self, value: str | None) -> None:
        self.world.annotate(names.UPDATE, value)
        self._remember()

    @rule(data=st.data())
    def somebody_deletes_a_child(self, data: st.DataObject) -> None:
        children = sorted(key for key in self.world.server.objects if key != _CLUSTER)
        if children:
            self.world.server.delete(*data.draw(st.sampled_from(children)))
            self._remember()

    # --- the cluster

    @rule()
    def controllers_work(self) -> None:
        self.world.tick(reconcile=False)
        self._remember()

    @rule(data=st.data())
    def container_ends(self, data: st.DataObject) -> None:
        pods = [key[1] for key in sorted(self.world.server.objects) if key[0] == "Pod"]
        if pods:
            self.world.controllers.crash(data.draw(st.sampled_from(pods)))
            self._remember()

    @rule(pods=st.integers(0, 8))
    def nodes_are_taken_or_given(self, pods: int) -> None:
        """Pods keep the nodes they have; only so many have one before another gets one."""
        server = self.world.server
        self.world.controllers.fits = lambda _: sum("nodeName" in pod["spec"] for pod in server.of_kind("Pod")) < pods

    # --- the operator

    @rule(image=st.sampled_from(["heterollm/engine:1", "heterollm/engine:2"]))
    def is_upgraded(self, image: str) -> None:
        self.world.upgrade_operator(Config(engine_image=image))

    @rule()
    def looks(self) -> None:
        self.world.reconcile_until_quiet()
        self._remember()

    @rule(effects=st.integers(0, 9))
    def dies(self, effects: int) -> None:
        with contextlib.suppress(Crash):
            for _ in range(2):  # the first look may only ask for a dry run
                self.world.reconcile(effects=effects)
        self.world.restart_operator()
        self._remember()

    @rule(data=st.data(), effects=st.integers(1, 12))
    def looks_through_watches_that_lag(self, data: st.DataObject, effects: int) -> None:
        """Each kind is as old as it likes; the cluster itself is current, or the write of its status is refused."""
        kinds = sorted({kind for view in self.history for kind, _ in view})
        ages = {kind: data.draw(st.integers(0, len(self.history) - 1), label=kind) for kind in kinds}
        view: dict[tuple[str, str], Any] = {_CLUSTER: self.world.cluster}
        for kind, age in ages.items():
            if kind != names.KIND:
                view |= {key: body for key, body in self.history[age].items() if key[0] == kind}
        self._look_through(view, effects)

    @rule(age=st.integers(0, 8), effects=st.integers(1, 12))
    def looks_at_the_past(self, age: int, effects: int) -> None:
        self._look_through(self.history[min(age, len(self.history) - 1)], effects)

    def _look_through(self, view: View, effects: int) -> None:
        with contextlib.suppress(Crash):
            for _ in range(2):
                self.world.reconcile(view, effects)
        self._remember()

    # --- and then it is quiet

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        last = self.tiers[0]["replicas"]["min"]
        tiers = [api_tier(replicas={"min": last}, engine={"image": "final"}), *self.tiers[1:]]
        self.world.controllers.fits = lambda _: True
        self.world.upgrade_operator(Config())
        self.world.annotate(names.UPDATE, "final")
        self.world.change(*tiers)
        self.world.settle(400)
        assert shape(self.world) == fresh(tiers)


TestChaos = Chaos.TestCase
TestChaos.settings = quick(8)
