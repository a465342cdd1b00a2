"""Whatever happens, every request is answered, refused, failed or still under way."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heterollm_controllers.simulation.faults import OF_A_TIER, Fault, FaultKind
from heterollm_controllers.simulation.traffic import Load, Spike
from tests.simulation.scenes import Still, simulated, spec, unaccounted

FAULTS = st.builds(
    Fault,
    kind=st.sampled_from(sorted({*OF_A_TIER, FaultKind.SCORER})).map(FaultKind),
    start=st.integers(0, 300).map(float),
    seconds=st.integers(1, 200).map(float),
    tier=st.sampled_from(["small", "large"]),
    amount=st.sampled_from([1.0, 2.0, 30.0, 100.0]),
)


@settings(max_examples=40, deadline=None)
@given(
    rate=st.floats(0, 300),
    large_share=st.floats(0, 1),
    faults=st.lists(FAULTS, max_size=4),
    engines=st.tuples(st.integers(0, 4), st.integers(0, 2)),
    shares=st.tuples(st.integers(0, 100), st.integers(0, 100)),
)
def test_no_request_is_lost_or_doubled(
    rate: float, large_share: float, faults: list[Fault], engines: tuple[int, int], shares: tuple[int, int]
) -> None:
    decider = Still(
        dict(zip(("small", "large"), engines, strict=True)), dict(zip(("small", "large"), shares, strict=True))
    )
    simulation = simulated(decider, rate=rate, large_share=large_share, faults=tuple(faults), minutes=8)
    offered = sum(count.offered for count in simulation.cluster.routers.counts)
    assert unaccounted(simulation) == pytest.approx(0, abs=1e-6 * max(1.0, offered))


def test_all_of_a_light_load_is_answered_in_time() -> None:
    simulation = simulated(rate=15)
    counts, answers = simulation.cluster.routers.counts, simulation.cluster.answers
    assert sum(count.refused + count.lost for count in counts) == 0
    offered = sum(count.offered for count in counts)
    assert sum(answer.good for answer in answers) / offered > 0.99


def test_what_exceeds_the_capacity_is_refused_and_no_other_tier_takes_it() -> None:
    simulation = simulated(rate=200, large_share=0.05, of=spec(small=(1, 1)), minutes=20)
    small, large = simulation.cluster.routers.counts
    assert small.refused > 100 * 600
    assert small.spilled == 0
    assert large.refused == 0
    assert simulation.cluster.fleets[0].in_flight <= 2 * 40


def test_the_queue_of_a_spike_is_worked_off() -> None:
    spike = Spike(Load(20, 0.1), factor=4, start=60, seconds=60)
    simulation = simulated(traffic=spike, minutes=15)
    assert max(moment.queue[0] for moment in simulation.moments) > 100
    assert simulation.moments[-1].queue[0] == 0
