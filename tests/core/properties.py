"""How hard property tests try: enough to find what is wrong within days of runs, cheap enough to run every time."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

__all__ = ["quick"]


def quick(examples: int = 50) -> settings:
    """Settings of a property test; no deadline, as a busy machine is no defect."""
    return settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])
