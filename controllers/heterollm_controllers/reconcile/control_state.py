"""What an observed status remembers of the control loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from heterollm_controllers.api.v1alpha1.status import FallbackStatus, ScalingStatus
from heterollm_controllers.api.v1alpha1.tier import Tier

__all__ = ["ControlState", "control_state_of"]


def control_state_of(status: Mapping[str, Any]) -> ControlState:
    """What an observed status remembers of steering."""
    tiers = {tier["name"]: tier["scaling"] for tier in status.get("tiers") or [] if tier.get("scaling")}
    fallback = status.get("fallback")
    return ControlState(
        {name: ScalingStatus.model_validate(item) for name, item in tiers.items()},
        FallbackStatus.model_validate(fallback) if fallback else None,
    )


@dataclass(frozen=True)
class ControlState:
    """What status remembers of earlier ticks: all the state there is."""

    scaling: Mapping[str, ScalingStatus] = field(default_factory=dict)
    """By the tier's name."""
    fallback: FallbackStatus | None = None

    def target(self, tier: Tier) -> int:
        """Engines that a tier should have: what was decided last, or the fewest."""
        decided = self.scaling.get(tier.name)
        return decided.target if decided is not None else tier.replicas.bounds.fewest
