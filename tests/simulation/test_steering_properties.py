"""What holds for any cluster, traffic and fault. SIMULATED_TICKS says how many decisions are looked at."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, given, settings

from heterollm_controllers.simulation.run import TICK, Scenario
from tests.simulation.scenes import unaccounted
from tests.simulation.worlds import CALM, TROUBLE, scenarios, watched

_TICKS = int(os.environ.get("SIMULATED_TICKS", "12000"))
_EXAMPLES = max(1, _TICKS * TICK // (TROUBLE + CALM))
# A scenario that fails is told as it is: to make it smaller would take minutes, and says little more.
_PHASES = (Phase.explicit, Phase.reuse, Phase.generate)


@settings(max_examples=_EXAMPLES, phases=_PHASES, deadline=None, suppress_health_check=list(HealthCheck))
@given(scenario=scenarios())
def test_bounds_deadlines_restarts_blindness_and_the_way_back(scenario: Scenario) -> None:
    simulation = watched(scenario)
    assert abs(unaccounted(simulation)) < 1e-3
    assert simulation.moments[-1].state == "Normal", "there is no way back"
    end = simulation.moments[-1]
    assert sum(end.queue) < 1, "a queue is left"
