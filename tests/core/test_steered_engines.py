"""Engines and routes follow what is decided from metrics: recorded first, and let go before they leave."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from heterollm_controllers.api.installation import Config
from heterollm_controllers.api.signals import ClusterSignal, PodSignal, TierSignal
from heterollm_controllers.api.timestamps import stamp
from heterollm_controllers.metrics.readings import History, Readings
from heterollm_controllers.metrics.side_minutes import SideMinutes
from tests.core.builders import api_tier
from tests.core.world import Crash, World, settled

CALM = History((1.0,) * 60, (1.0,) * 60, (0.1,) * 60)
STEERED = Config(prometheus=True)


class Figures:
    """What Prometheus has of a world; a test sets what differs."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.queue: dict[str, float] = {}
        """Requests that wait, by engine; one for those not named."""
        self.rates: dict[str, dict[TierSignal, float]] = {}
        self.cluster: dict[ClusterSignal, float] = {ClusterSignal.ROUTERS: 1.0}
        self.sides: Callable[[datetime], SideMinutes] = lambda _: SideMinutes()
        """Of a migration, by the time."""
        self.history = CALM
        self.away = False
        world.metrics = self
        world.upgrade_operator(STEERED)

    def __call__(self) -> Readings | None:
        if self.away:
            return None
        pods = {name: self._of(name.rpartition("-")[0]) for name in self._world.uids("Pod")}
        return Readings(
            self._world.now,
            pods=pods,
            tiers=self.rates,
            cluster=self.cluster,
            history={"small": self.history, "large": CALM},
            sides=self.sides(self._world.now),
        )

    def _of(self, engine: str) -> Mapping[PodSignal, float]:
        queue = self.queue.get(engine, 1.0)
        return {PodSignal.QUEUE: queue, PodSignal.RUNNING: 0.0, PodSignal.KV_USE: 0.1, PodSignal.AGE: 1.0}


def elastic(**replicas: Any) -> dict[str, Any]:
    """A tier of two to six engines."""
    return api_tier(replicas={"min": 2, "max": 6, **replicas}, scaling={"scaleDownSeconds": 300})


def crowded(*tiers: dict[str, Any]) -> tuple[World, Figures]:
    """A settled world in whose first tier 102 requests begin to wait."""
    world = settled(*(tiers or (elastic(),)))
    metrics = Figures(world)
    world.ticks(13)  # longer than the window
    metrics.queue = {"demo-small-0": 100.0}
    return world, metrics


def test_the_decision_is_recorded_before_its_engines_are_made() -> None:
    world, _ = crowded()
    with pytest.raises(Crash):
        world.reconcile(effects=1)  # dies once the status is stored
    assert [tier["desired"] for tier in world.status["tiers"]] == [4]
    assert ("ScaledUp", "small") in world.actions()
    assert len(world.engines()) == 2
    world.restart_operator()
    world.tick()
    assert len(world.engines()) == 4
    assert [action for action, _ in world.actions()].count("ScaledUp") == 1


def test_engines_that_were_added_serve_and_leave_again_the_idle_ones_first() -> None:
    world, metrics = crowded()
    world.until(lambda: len(world.serving()) == 4)
    assert world.ready()
    metrics.queue = {"demo-small-3": 9.0, "demo-small-1": 9.0, "demo-small-2": 9.0}
    world.until(lambda: len(world.engines()) == 3, most=100)
    assert sorted(world.engines()) == ["demo-small-1", "demo-small-2", "demo-small-3"]
    assert world.ready()
    world.until(lambda: len(world.engines()) == 2, most=100)
    world.ticks(50)
    assert len(world.serving()) == 2


@pytest.mark.parametrize(
    ("measured", "engines"),
    [
        ({"measured": {"requestsPerSecond": "12.5"}}, 4),
        ({"measured": {"requestsPerSecond": "90"}}, 2),
        ({}, 2),
    ],
)
def test_engines_are_added_ahead_by_a_measured_rate_even_where_nothing_was_sized(
    measured: dict[str, Any], engines: int
) -> None:
    """40 requests/s are forecast; the tier has two engines at least."""
    world = settled(elastic() | {"engine": {"gpus": 1, **measured}})
    assert "performance" not in world.status["tiers"][0]["sizing"]
    figures = Figures(world)
    figures.history = History((40.0,) * 60, (1.0,) * 60, (0.1,) * 60)
    world.ticks(20)
    assert world.status["tiers"][0]["desired"] == engines


def test_an_elastic_cluster_stays_ready_while_engines_come() -> None:
    world, _ = crowded()
    readiness = set()
    world.watch = lambda: readiness.add(world.ready())
    world.until(lambda: len(world.serving()) == 4)
    assert readiness == {True}


def test_an_elastic_cluster_is_not_ready_while_an_older_engine_is_there() -> None:
    """Though as many new ones serve as it needs at least."""
    world, figures = crowded()
    world.until(lambda: len(world.serving()) == 4)
    figures.queue = {}
    tier = elastic()
    world.change({**tier, "engine": {**tier["engine"], "image": "new"}})
    ready = set[frozenset[str]]()
    world.watch = lambda: ready.add(frozenset(world.images().values())) if world.ready() else None
    world.until(world.ready, most=200)
    assert ready == {frozenset({"new"})}


def test_figures_that_go_away_and_a_restart_write_nothing() -> None:
    world, metrics = crowded()
    metrics.queue = {}
    world.ticks(3)
    before = world.server.version
    world.restart_operator()
    metrics.away = True
    world.metrics = lambda: None
    world.ticks(5)
    assert world.server.version == before
    assert world.holds("MetricsAvailable")


def test_engines_on_standby_get_no_requests_until_the_tier_grows_and_then_at_once() -> None:
    world, metrics = crowded(elastic(standby=2))
    metrics.queue = {}
    world.tick()
    assert sorted(world.engines()) == [f"demo-small-{number}" for number in range(4)]
    assert sorted(world.serving()) == ["demo-small-0", "demo-small-1"]
    assert [engine["phase"] for engine in world.status["tiers"][0]["engines"]] == ["Serving"] * 2 + ["Standby"] * 2
    metrics.queue = {"demo-small-0": 101.0}
    world.reconcile()
    assert len(world.serving()) == 4, "no engine had to start"
    world.ticks(10)
    assert (len(world.serving()), len(world.engines())) == (4, 6)


def test_a_standby_engine_takes_the_place_of_one_that_dies() -> None:
    world = settled(elastic(standby=1))
    Figures(world)
    world.tick()
    assert sorted(world.serving()) == ["demo-small-0", "demo-small-1"]
    world.controllers.crash("demo-small-0-0")
    world.reconcile()
    assert sorted(world.serving()) == ["demo-small-1", "demo-small-2"]


def diverted(world: World) -> int:
    """Per cent of the small tier's requests that the large one shall answer, as the routers are told."""
    (resource,) = json.loads(next(text for name, text in world.policy().items() if name.startswith("rds")))["resources"]
    told = resource["virtual_hosts"][0]["typed_per_filter_config"]["choose"]["filter_config"]["value"]
    return int(next(tier["diverted"] for tier in told["tiers"] if tier["name"] == "small"))


@pytest.mark.parametrize(("dry", "share"), [(False, 100), (True, 0)])
def test_the_fallback_reaches_the_routers_unless_it_is_a_dry_run(dry: bool, share: int) -> None:
    world = settled(api_tier(), api_tier("large"), fallback={"dryRun": dry})
    metrics = Figures(world)
    world.ticks(13)  # longer than the window: what came before its engines served is no failure of theirs
    assert diverted(world) == 0
    metrics.rates = {"small": {TierSignal.TRIED: 5.0, TierSignal.FAILED: 5.0, TierSignal.OFFERED: 5.0}}
    world.tick()
    assert world.status["fallback"]["state"] == "Escalated"
    assert world.status["mode"] == ("Normal" if dry else "Escalated")
    assert diverted(world) == share
    assert ("TierEscalated", "small") in world.actions()
    assert [event.kind for event in world.events if event.reason == "TierEscalated"] == ["Warning"]


def test_a_migration_reaches_the_routers_is_recorded_first_and_costs_no_write_afterwards() -> None:
    world = settled(api_tier(), api_tier("large"), migration={"mode": "Auto", "steps": [20, 100]})
    assert diverted(world) == 100, "nothing is known of the routers yet"
    metrics = Figures(world)
    with pytest.raises(Crash):
        world.reconcile(effects=1)  # dies once the status is stored
    assert world.status["migration"]["percent"] == 20
    world.restart_operator()
    world.tick()
    assert diverted(world) == 80
    assert [action for action, _ in world.actions()].count("MigrationAdvances") == 1
    assert [event.kind for event in world.events if event.reason == "MigrationAdvances"] in (["Normal"], [])
    before = world.cluster["metadata"]["resourceVersion"]
    world.ticks(20)
    assert world.cluster["metadata"]["resourceVersion"] == before
    metrics.away = True
    world.ticks(20)
    assert diverted(world) == 80


def test_a_policy_that_a_router_does_not_take_shows_until_it_takes_one() -> None:
    world = settled(api_tier())
    metrics = Figures(world)
    world.tick()
    metrics.cluster[ClusterSignal.POLICY_REFUSED] = 7.0
    world.tick()
    assert world.condition("Programmed")["reason"] == "PolicyRefused"
    assert "version 7" in world.condition("Programmed")["message"]
    assert world.holds("Stalled")
    del metrics.cluster[ClusterSignal.POLICY_REFUSED]
    world.tick()
    assert world.holds("Programmed")
    assert world.ready()


def test_losing_the_last_engine_is_remembered_until_one_serves_again() -> None:
    world = settled(api_tier(), api_tier("large"))
    Figures(world)
    world.tick()
    world.controllers.crash("demo-small-0-0")
    world.reconcile()
    assert "lostAt" in world.status["tiers"][0]
    assert world.status["mode"] == "Escalated"
    world.ticks(4)
    assert "lostAt" not in world.status["tiers"][0]


def test_a_tier_that_goes_to_sleep_is_not_lost() -> None:
    world = settled(api_tier(replicas={"fixed": 1}), api_tier("large"))
    Figures(world)
    world.tick()
    world.change(api_tier(replicas={"fixed": 0}), api_tier("large"))
    world.until(lambda: not world.engines())
    world.ticks(3)
    assert world.status["mode"] == "Normal"
    assert "lostAt" not in world.status["tiers"][0]


def test_how_a_tier_scales_is_no_reason_to_restart_its_engines() -> None:
    world = settled(elastic())
    before = world.uids()
    world.change(api_tier(replicas={"min": 2, "max": 9}, scaling={"queueLength": 7}))
    world.settle()
    assert world.uids() == before
    assert not world.holds("UpdateAvailable")


def test_a_node_whose_clock_is_slow_does_not_say_how_long_engines_take_to_start() -> None:
    world, _ = crowded({**elastic(), "model": {"id": "Qwen/Qwen3-4B"}})
    for name in world.uids("Pod"):
        world.server.objects["Pod", name]["metadata"]["creationTimestamp"] = stamp(world.now + timedelta(hours=1))
    world.tick()
    assert len(world.engines()) == 4
    assert world.status["tiers"][0]["scaling"]["forecast"]["horizonSeconds"] == 240, "as if none was seen to start"


# --- engines that never come to serve


def placed(world: World) -> dict[str, str]:
    """Pods that have a node, with their uids."""
    uids = world.uids("Pod")
    return {name: uids[name] for name in uids if "nodeName" in world.server.objects["Pod", name]["spec"]}


def without_room(*tiers: dict[str, Any], pods: int = 0) -> tuple[World, Figures]:
    """A queue asked for two more engines, and only so many pods of them find a node."""
    world, metrics = crowded(*tiers)
    metrics.queue = {"demo-small-0": 200.0}
    room = len(placed(world)) + pods
    world.controllers.fits = lambda _: len(placed(world)) < room
    world.ticks(3)
    metrics.queue = {}
    return world, metrics


def test_engines_that_find_no_node_are_removed_once_nobody_needs_them() -> None:
    world, _ = without_room()
    before = placed(world)
    assert len(world.engines()) == 4
    world.until(lambda: len(world.engines()) == 2, most=75)
    assert world.uids("Pod") == before, "and none of those that serve"
    assert world.status["tiers"][0]["desired"] == 2
    assert ("ScaledDown", "small") in world.actions()
    world.ticks(75)
    assert len(world.engines()) == 2


def test_they_come_back_at_once_when_they_are_needed_again() -> None:
    world, metrics = without_room()
    world.until(lambda: len(world.engines()) == 2, most=75)
    world.ticks(2)
    world.controllers.fits = lambda _: True
    metrics.queue = {"demo-small-1": 200.0}
    world.tick()
    assert len(world.engines()) == 4
    world.until(lambda: len(world.serving()) == 4)


def test_an_engine_that_crashes_leaves_before_one_that_serves() -> None:
    world, metrics = crowded()
    world.until(lambda: len(world.serving()) == 4)
    metrics.queue = {}

    def crash() -> None:
        if "demo-small-0-0" in world.uids("Pod"):
            world.controllers.crash("demo-small-0-0")

    world.watch = crash
    world.until(lambda: len(world.engines()) == 3, most=100)
    assert sorted(world.engines()) == ["demo-small-1", "demo-small-2", "demo-small-3"]
    world.until(lambda: len(world.engines()) == 2, most=100)


def test_a_gang_that_is_half_placed_and_waits_is_removed_once_nobody_needs_it() -> None:
    gang = api_tier(
        engine={"gpus": 16, "placementSeconds": 60},
        replicas={"min": 1, "max": 3},
        scaling={"scaleDownSeconds": 300},
    )
    world, _ = without_room(gang, pods=1)
    assert (len(world.engines()), len(placed(world))) == (3, 3)
    world.until(lambda: len(world.engines()) == 1, most=100)
    assert ("EngineReleased", "demo-small-1") in world.actions()
    assert world.serving() == ["demo-small-0"]
    assert len(world.uids("Pod")) == 2


def test_a_roll_out_that_is_stuck_keeps_no_engine_that_nobody_needs() -> None:
    world, metrics = crowded()
    world.until(lambda: len(world.serving()) == 4)
    metrics.queue = {}
    world.controllers.fits = lambda pod: "nodeName" in pod["spec"]
    world.change(api_tier(replicas={"min": 2, "max": 6}, scaling={"scaleDownSeconds": 300}, engine={"image": "new"}))
    world.until(lambda: len(world.engines()) == 3, most=250)
    assert len(world.serving()) == 2, "and the surge of the roll-out"
    world.controllers.fits = lambda _: True
    world.until(lambda: {*world.images().values()} == {"new"}, most=100)
    world.until(world.ready)
