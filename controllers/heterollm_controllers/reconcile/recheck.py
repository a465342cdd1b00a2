"""What a reconcile leaves for the ticks after it: whether newer metrics would decide something else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.metrics.readings import Readings
from heterollm_controllers.observation.tier_state import TierState
from heterollm_controllers.reconcile.control_loop import steer
from heterollm_controllers.reconcile.control_state import ControlState

__all__ = ["Recheck"]


@dataclass(frozen=True)
class Recheck:
    """The control loop as a reconcile ran it, all but the metrics.

    Attributes:
        state: as recorded by that reconcile.
        missing: which metrics were missing then, as `Steering` says it.
        refused: version of the routing policy that a router did not take then.
    """

    spec: HeteroLLMClusterSpec
    tiers: tuple[TierState, ...]
    state: ControlState
    missing: str = ""
    refused: int = 0

    def is_due(self, readings: Readings, now: datetime) -> bool:
        """Whether a reconcile with these metrics would record something new."""
        after = steer(self.spec, self.tiers, self.state, readings, now)
        return (after.state, after.missing, after.refused) != (self.state, self.missing, self.refused)
