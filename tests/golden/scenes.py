"""Small worlds in the states that users ask about; a golden file holds the status of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from heterollm_controllers.api.signals import ClusterSignal, TierSignal
from heterollm_controllers.metrics.side_minutes import Side, SideMinutes
from tests.core.builders import api_tier
from tests.core.test_steered_engines import Figures, crowded
from tests.core.world import World, settled

__all__ = ["SCENES"]

_TWO = (api_tier(replicas={"min": 2, "max": 4}), api_tier("large", engine={"gpus": 16, "nodes": 2}))


def _first_tick() -> World:
    world = World(*_TWO)
    world.tick()
    return world


def _serving() -> World:
    return settled(*_TWO)


def _refused_template() -> World:
    world = settled(*_TWO)
    world.change(api_tier(podTemplate={"metadata": {"labels": "none"}}, replicas={"min": 2, "max": 4}), _TWO[1])
    world.ticks(3)
    return world


def _rolling_out() -> World:
    world = settled(*_TWO)
    world.change(api_tier(engine={"image": "other"}, replicas={"min": 2, "max": 4}), _TWO[1])
    world.ticks(2)
    return world


def _stuck_roll_out() -> World:
    world = settled(*_TWO)
    world.change(api_tier(engine={"image": "broken"}, replicas={"min": 2, "max": 4}), _TWO[1])
    world.ticks(30)
    return world


def _gang_restarts() -> World:
    world = settled(*_TWO)
    world.controllers.crash("demo-large-0-1")
    world.tick()
    return world


def _half_placed() -> World:
    world = World(*_TWO)
    world.controllers.fits = lambda pod: not pod["metadata"]["name"].endswith("large-0-1")
    world.ticks(70)
    return world


def _tier_removed() -> World:
    world = settled(*_TWO)
    world.change(_TWO[0])
    world.tick()
    return world


def _scaled_up() -> World:
    world, _ = crowded()
    world.tick()
    return world


def _escalated() -> World:
    world = settled(*_TWO)
    metrics = Figures(world)
    failing = {TierSignal.OFFERED: 2.0, TierSignal.TRIED: 5.0, TierSignal.FAILED: 5.0, TierSignal.ANSWERED: 0.0}
    well = {TierSignal.OFFERED: 0.2, TierSignal.TRIED: 2.2, TierSignal.FAILED: 0.0, TierSignal.ANSWERED: 2.2}
    metrics.rates = {"small": failing, "large": well}
    world.ticks(15)
    return world


def _pure_large() -> World:
    world = settled(*_TWO)
    metrics = Figures(world)
    metrics.cluster = {ClusterSignal.ROUTERS: 1.0, ClusterSignal.POLICY_REFUSED: 7.0}
    world.ticks(15)
    return world


def _migration_rolled_back() -> World:
    """Of 600 requests a minute that the small tier gets, 12 fail; of 5,400 at the large one, one."""
    counts = {
        Side("small", False, "ok"): (588.0,) * 3,
        Side("small", False, "failed"): (12.0,) * 3,
        Side("small", True, "ok"): (5399.0,) * 3,
        Side("small", True, "failed"): (1.0,) * 3,
    }
    world = settled(*_TWO, migration={"mode": "Auto"})
    metrics = Figures(world)
    metrics.sides = lambda now: SideMinutes(now.replace(second=0), counts)
    world.ticks(60)
    return world


def _without_metrics() -> World:
    world = settled(*_TWO)
    Figures(world).away = True
    world.ticks(15)
    return world


SCENES: Mapping[str, Callable[[], World]] = {
    function.__name__.removeprefix("_").replace("_", "-"): function
    for function in (
        _first_tick,
        _serving,
        _refused_template,
        _rolling_out,
        _stuck_roll_out,
        _gang_restarts,
        _half_placed,
        _tier_removed,
        _scaled_up,
        _escalated,
        _pure_large,
        _migration_rolled_back,
        _without_metrics,
    )
}
