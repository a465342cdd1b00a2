"""Missing, stale or absurd metrics hold what is in force: for ten minutes, and without a jump afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from heterollm_controllers.api.signals import ClusterSignal
from heterollm_controllers.metrics.readings import History, Readings
from tests.steering.world import World

Outage = Callable[[Readings], Readings | None]


def down(_: Readings) -> None:
    """Never read since the operator started."""


def failing(readings: Readings) -> Readings:
    """The poller says why it has nothing."""
    return Readings(readings.at, failure="timed out after 4 s")


def empty(readings: Readings) -> Readings:
    """Every query has an empty answer, as after a relabelling."""
    return Readings(readings.at)


def old(readings: Readings) -> Readings:
    """The poller itself has stopped."""
    return replace(readings, at=readings.at - timedelta(minutes=1))


def routers_away(readings: Readings) -> Readings:
    """Only the routers are not scraped."""
    return replace(readings, tiers={}, cluster={})


def engines_away(readings: Readings) -> Readings:
    """Only the engines are not scraped, so the history of what they do has a gap."""
    unknown = (float("nan"),) * 60
    return replace(readings, pods={}, history={name: History(unknown, unknown, unknown) for name in readings.history})


class Watched(World):
    """A world whose metrics may go away."""

    outage: Outage | None = None

    def readings(self) -> Readings | None:
        found = super().readings()
        return self.outage(found) if self.outage is not None and found is not None else found


OUTAGES = [down, failing, empty, old]


@pytest.mark.parametrize("outage", [*OUTAGES, engines_away])
def test_no_scaling(outage: Outage) -> None:
    world = Watched()
    world.small.queue = 100.0
    world.tick()
    world.small.serving, world.small.queue = 4, 0.0
    world.seconds(200)
    before = world.memory
    world.outage = outage
    world.small.queue = 1000.0
    world.seconds(600)
    assert world.memory == before
    assert world.last.missing
    world.outage, world.small.queue = None, 0.0
    world.seconds(30)
    assert world.target() == 3, "as it would have been without the outage, one step and no jump"
    assert world.last.missing == ""


@pytest.mark.parametrize("outage", [*OUTAGES, routers_away])
def test_no_flip_of_the_fallback(outage: Outage) -> None:
    world = Watched()
    world.tick()
    world.outage = outage
    world.small.failed, world.small.lost = 5.0, True
    world.cluster[ClusterSignal.POLICY_REFUSED] = 3.0
    world.seconds(600)
    assert world.memory.fallback is None
    assert world.last.missing


@pytest.mark.parametrize("outage", [*OUTAGES, routers_away])
@pytest.mark.parametrize("seconds", [100, 302, 340, 370])
def test_no_promotion(outage: Outage, seconds: int) -> None:
    """In each phase of the way back."""
    world = Watched()
    world.small.failed = 5.0
    world.tick()
    world.small.failed = 0.0
    world.seconds(seconds)
    before = world.memory.fallback
    world.outage = outage
    world.seconds(600)
    assert world.memory.fallback == before
    world.outage = None
    world.tick()
    now = world.memory.fallback
    assert before is not None
    assert now is not None
    steps = ["Holding", "Probing", "Ramping", "Watching"]
    one, two = (steps.index(item.escalations[0].phase) for item in (before, now))
    assert two - one <= 1


@pytest.mark.parametrize("outage", [*OUTAGES, routers_away])
def test_level_3_does_not_close(outage: Outage) -> None:
    world = Watched()
    world.cluster[ClusterSignal.POLICY_REFUSED] = 3.0
    world.tick()
    del world.cluster[ClusterSignal.POLICY_REFUSED]
    world.seconds(600)
    world.outage = outage
    world.seconds(600)
    assert (world.state, world.fallback.percent) == ("PureLarge", 0)


def test_a_new_engine_has_time_to_be_scraped() -> None:
    world = World()
    world.small.silent, world.small.serving_since = 2, world.now
    assert world.tick().missing == ""
    world.seconds(40)
    assert "small-0, small-1" in world.last.missing
