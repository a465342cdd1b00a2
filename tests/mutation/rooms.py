"""Which tests are run against a mutant of which folder of the core."""

from __future__ import annotations

__all__ = ["CORE", "LEFT_OUT", "ROOMS"]

CORE = "heterollm_controllers"

ROOMS: dict[str, tuple[str, ...]] = {
    "api": ("core/test_crd.py", "core/test_conditions.py", "golden"),
    "capacity": ("steering", "core/test_steered_engines.py"),
    "cost": ("cost", "core/test_what_tiers_cost.py"),
    "engines": ("core", "golden"),
    "metrics": ("steering", "core/test_steered_engines.py"),
    "observation": ("core", "golden"),
    "reconcile": ("core", "steering", "golden"),
    "render": ("core", "golden"),
    "routing": ("router/test_policy_files.py", "core/test_the_policy_says_what_the_spec_asks.py", "golden"),
    "scoring": ("router/test_scorer.py",),
    "sglang": ("flags", "core/test_launch_flags.py"),
    "simulation": ("simulation",),
    "sizing": ("sizing",),
    "status": ("core", "golden"),
    "traffic": ("steering", "core/test_traffic_plan.py", "core/test_steered_engines.py"),
    "view": ("view",),
}
"""A folder of the core and the tests for it, as paths below `tests/`.

What needs a control plane, a node, Envoy or minutes is left out: a mutant has to live or die within seconds.
"""

LEFT_OUT: tuple[str, ...] = (
    # Of time: a mutant must not die of a busy machine.
    "simulation/test_speed.py",
    # These try every crash, and take as long as all others together.
    "core/test_crashes_and_stale_views.py",
    "core/test_partially_scheduled_engines.py::test_operator_that_dies_at_any_effect_neither_forgets_nor_doubles_the_backoff",
)
