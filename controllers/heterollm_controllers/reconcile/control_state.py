"""What an observed status remembers of the control loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from heterollm_controllers.api.v1alpha1.migration_status import MigrationStatus
from heterollm_controllers.api.v1alpha1.status import FallbackStatus, HeteroLLMClusterStatus, ScalingStatus
from heterollm_controllers.api.v1alpha1.tier import Tier

__all__ = ["ControlState", "control_state_of"]


def control_state_of(status: HeteroLLMClusterStatus) -> ControlState:
    """What an earlier status remembers of steering."""
    scaling = {tier.name: tier.scaling for tier in status.tiers if tier.scaling is not None}
    problems = {item.name: item.problem for item in status.external_tiers or () if item.problem is not None}
    return ControlState(scaling, status.fallback, status.migration, problems)


@dataclass(frozen=True)
class ControlState:
    """What status remembers of earlier ticks: all the state there is."""

    scaling: Mapping[str, ScalingStatus] = field(default_factory=dict)
    """By the tier's name."""
    fallback: FallbackStatus | None = None
    migration: MigrationStatus | None = None
    external: Mapping[str, str] = field(default_factory=dict)
    """Why services outside of the cluster do not answer, by the tier's name; of those that do nothing."""

    def target(self, tier: Tier) -> int:
        """Engines that a tier should have: what was decided last, or the fewest."""
        decided = self.scaling.get(tier.name)
        return decided.target if decided is not None else tier.replicas.bounds.fewest
