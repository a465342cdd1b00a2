"""How hard property tests try: enough to find what is wrong within days of runs, cheap enough to run every time."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

__all__ = ["quick"]


def quick(examples: int = 30, steps: int = 30) -> settings:
    """Settings of a property test; no deadline, as a busy machine is no defect."""
    slow = [HealthCheck.too_slow]
    return settings(max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=slow)
