"""What an observed status remembers of the control loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from heterollm_controllers.api.v1alpha1.status import FallbackStatus, ScalingStatus
from heterollm_controllers.reconcile.control_loop import Memory

__all__ = ["memory_of"]


def memory_of(status: Mapping[str, Any]) -> Memory:
    """What an observed status remembers of steering."""
    tiers = {tier["name"]: tier["scaling"] for tier in status.get("tiers") or [] if tier.get("scaling")}
    fallback = status.get("fallback")
    return Memory(
        {name: ScalingStatus.model_validate(item) for name, item in tiers.items()},
        FallbackStatus.model_validate(fallback) if fallback else None,
    )
