"""One tier after deciding: its revision, its engines, and what is about to become of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from heterollm_controllers.api.v1alpha1.status import (
    ScalingStatus,
)
from heterollm_controllers.api.vocabulary import EnginePhase
from heterollm_controllers.engines.gang_placement import Placement
from heterollm_controllers.engines.gang_restart import Gang
from heterollm_controllers.engines.revisions import Chosen
from heterollm_controllers.observation.engines import ObservedEngine

__all__ = ["TierView"]


@dataclass(frozen=True)
class TierView:
    """One tier after deciding: what it should run, the engines there are, and those just decided.

    Attributes:
        desired: engines that should get requests; the tier keeps some more on standby if its spec says so.
        standby: names of the engines that are kept ready without requests.
        scaling: the last decision on `desired`; None when it is the fewest, as ever.
        lost_at: when the tier lost the last engine that served; None while one serves or none ever did.
    """

    chosen: Chosen
    desired: int
    engines: tuple[ObservedEngine, ...]
    gangs: Mapping[str, Gang]
    placements: Mapping[str, Placement]
    added: tuple[str, ...]
    drained: frozenset[str]
    standby: frozenset[str] = frozenset()
    scaling: ScalingStatus | None = None
    lost_at: datetime | None = None

    def serves(self, engine: ObservedEngine) -> bool:
        """Whether requests may go to the engine after what was just decided."""
        return engine.serving and engine.name not in self.drained and engine.name not in self.standby

    @property
    def serving(self) -> list[ObservedEngine]:
        """Engines of any revision that requests may go to."""
        return [engine for engine in self.engines if self.serves(engine)]

    @property
    def updated(self) -> list[ObservedEngine]:
        """Those of the wanted revision."""
        return [engine for engine in self.serving if engine.revision == self.chosen.name]

    @property
    def stable(self) -> bool:
        """The wanted engines serve, and no older one exists; exactly those, unless their number follows the traffic.

        Then the fewest have to: engines that come and go with the traffic are no progress of a generation.
        """
        low, high = self.chosen.tier.replicas.bounds
        if low < high:
            return len(self.updated) >= low and all(engine.revision == self.chosen.name for engine in self.engines)
        complete = len(self.engines) == self.desired + self.chosen.tier.replicas.standby
        return len(self.updated) == self.desired and complete and not self.added

    def placement(self, engine: ObservedEngine) -> Placement:
        """How the pods of an engine find their nodes; engines of one node leave that to the scheduler."""
        return self.placements.get(engine.name, Placement())

    def phase(self, engine: ObservedEngine) -> EnginePhase:
        """Where an engine is in its life."""
        if engine.leaving or engine.name in self.drained:
            return "Draining"
        if engine.name in self.standby:
            return "Standby"
        if self.placement(engine).off:
            return "Waiting"
        if engine.broken:
            return "Restarting"
        if self.serves(engine):
            return "Serving"
        if engine.unschedulable:
            return "Unschedulable"
        return "Starting" if engine.pods else "Pending"
