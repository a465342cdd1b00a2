"""Who decides in a simulation: the operator's own steering, or a rule to compare it with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.api.v1alpha1.migration_status import MigrationStatus
from heterollm_controllers.api.v1alpha1.status import Decision, FallbackStatus, ScalingStatus
from heterollm_controllers.metrics.readings import Readings
from heterollm_controllers.observation.tier_state import TierState
from heterollm_controllers.reconcile.control_loop import Steering, steer
from heterollm_controllers.reconcile.control_state import ControlState
from heterollm_controllers.traffic.fallback_in_force import state_in_force

__all__ = ["Decider", "Operator", "Orders", "SteerFunction", "restored"]

SteerFunction = Callable[[HeteroLLMClusterSpec, Sequence[TierState], ControlState, Readings | None, datetime], Steering]
"""What `steer` is; a test may give another."""


@dataclass(frozen=True)
class Orders:
    """What is to hold.

    Attributes:
        targets: engines by tier, standby ones not counted.
        shares: per cent of its requests that each tier gets.
        state: of the fallback.
        decisions: made just now.
    """

    targets: Mapping[str, int]
    shares: Mapping[str, int]
    state: str = "Normal"
    decisions: tuple[Decision, ...] = ()


class Decider(Protocol):
    """Decides at every tick, and can be restarted."""

    def decide(self, tiers: Sequence[TierState], readings: Readings | None, now: datetime) -> Orders:
        """Orders from what is known now."""
        ...

    def restart(self) -> None:
        """Forget everything that is not recorded."""
        ...


class Operator:
    """The operator's steering; its memory is what it would have written to status."""

    def __init__(self, spec: HeteroLLMClusterSpec, steering: SteerFunction = steer) -> None:
        self.state = ControlState()
        self._spec = spec
        self._steer = steering
        self._names = [tier.name for tier in spec.tiers]

    def decide(self, tiers: Sequence[TierState], readings: Readings | None, now: datetime) -> Orders:
        """One tick of the real thing."""
        steering = self._steer(self._spec, tiers, self.state, readings, now)
        self.state = steering.state
        fallback = self.state.fallback
        return Orders(
            targets={tier.name: self.state.target(tier) for tier in self._spec.engine_tiers},
            shares=steering.traffic.shares,
            state=state_in_force(fallback),
            decisions=steering.decisions,
        )

    def restart(self) -> None:
        """Only what went through status is left."""
        self.state = restored(self.state)


def restored(memory: ControlState) -> ControlState:
    """What a new operator reads back from the wire."""
    scaling = {
        name: ScalingStatus.model_validate(record.model_dump(mode="json", by_alias=True, exclude_none=True))
        for name, record in memory.scaling.items()
    }
    fallback = memory.fallback
    if fallback is not None:
        fallback = FallbackStatus.model_validate(fallback.model_dump(mode="json", by_alias=True, exclude_none=True))
    migration = memory.migration
    if migration is not None:
        migration = MigrationStatus.model_validate(migration.model_dump(mode="json", by_alias=True, exclude_none=True))
    return ControlState(scaling, fallback, migration)
