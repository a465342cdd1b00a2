"""Whatever is asked, seen and lost on the way: shares stay within what was meant, and a restart changes nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from heterollm_controllers.api.signals import ClusterSignal
from heterollm_controllers.simulation.policy_under_test import restored
from tests.steering.migrating import Migrating, Truth

truths = st.builds(Truth, st.sampled_from([0.0, 0.0005, 0.005, 0.2, 1.0]), st.sampled_from([0.0, 0.02, 1.0]))
steps = st.sets(st.integers(1, 99), max_size=4).map(lambda found: [*sorted(found), 100])
asked = st.fixed_dictionaries(
    {},
    optional={
        "mode": st.sampled_from(["Observe", "Auto", "Auto", "Hold", "Rollback"]),
        "steps": steps,
        "stepSeconds": st.sampled_from([60, 600, 3600]),
        "onInconclusive": st.sampled_from(["Hold", "Rollback"]),
        "gates": st.sampled_from([{}, {"firstByteMs": 0}, {"costReductionPercent": 20}, {"errorPercent": "5"}]),
    },
)


def changed(name: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Callable[[Migrating], None]]:
    """An attribute of the world gets another value."""
    return values.map(lambda value: lambda world: setattr(world, name, value))


def spoiled(world: Migrating) -> None:
    """Prometheus gives what is no number."""
    if world.columns:
        world.columns[-1] = dict.fromkeys(world.columns[-1], math.nan)


def failing(world: Migrating) -> None:
    """The small tier fails for the fallback too, or does so no more."""
    world.small.failed = 5.0 - world.small.failed


def vanishing(world: Migrating) -> None:
    """Its engines go, or come back."""
    world.small.serving = 2 - world.small.serving


events: st.SearchStrategy[Callable[[Migrating], Any]] = st.one_of(
    asked.map(lambda fields: lambda world: world.set(**fields)),
    changed("small_side", truths),
    changed("control_side", truths),
    changed("prometheus", st.booleans()),
    changed("cluster", st.sampled_from([{}, {ClusterSignal.ROUTERS: 2.0}])),
    changed("saving", st.sampled_from([None, 10.0, 40.0, math.nan])),
    changed("per_minute", st.sampled_from([0, 10, 6_000])),
    st.sampled_from([spoiled, failing, vanishing, lambda world: world.columns.clear()]),
)


# A course that fails is told as it is: to make it smaller takes minutes.
@settings(max_examples=60, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(asked, st.lists(st.tuples(events, st.integers(1, 40)), max_size=12), st.integers(0, 99))
def test_shares_keep_to_what_was_meant_and_restarts_change_nothing(
    first: dict[str, Any], course: list[tuple[Callable[[Migrating], Any], int]], seed: int
) -> None:
    world = Migrating(seed, **first)
    for event, minutes in course:
        event(world)
        for _ in range(minutes):
            before = world.memory.migration
            world.minutes()
            record = world.record
            assert 0 <= world.share <= max(record.percent, 100 * (world.last.traffic.shares["large"] < 100))
            assert record.percent in (0, 100) or record.state == "RollingBack" or record.percent >= 1
            assert record.counted <= world.now
            if before is not None and record.percent > max(before.percent, 0):
                assert record.mode == "Auto"
                assert record.percent in world.spec.migration.steps  # type: ignore[union-attr]
                assert world.cluster, "nobody sees the routers"
                assert world.state == "Normal"
            if record.state == "Observing":
                assert record.percent == 0
            _restart_changes_nothing(world)


def _restart_changes_nothing(world: Migrating) -> None:
    tiers = (world.small.tier_state(), world.large.tier_state())
    again = world.decided(tiers, restored(world.memory))
    assert again == world.decided(tiers, world.memory)
    decided = any(item.action.startswith("Migration") for item in world.last.decisions)
    if decided or again.state.fallback != world.memory.fallback:
        return  # One decision may follow from another at once.
    assert again.state.migration == world.memory.migration, "decided again, or written again"
