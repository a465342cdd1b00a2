"""The status of one tier."""

from __future__ import annotations

from heterollm_controllers.api.timestamps import stamp
from heterollm_controllers.api.v1alpha1.status import (
    EngineStatus,
    PlacementStatus,
    TierStatus,
)
from heterollm_controllers.engines.gang_placement import Placement
from heterollm_controllers.engines.tier_view import TierView
from heterollm_controllers.observation.engines import ObservedEngine

__all__ = ["tier_status"]


def tier_status(view: TierView) -> TierStatus:
    """The status of one tier."""
    known = [_engine_status(view, engine) for engine in view.engines]
    added = [EngineStatus(name=name, revision=view.chosen.name, phase="Pending") for name in view.added]
    return TierStatus(
        name=view.chosen.tier.name,
        revision=view.chosen.name,
        desired=view.desired,
        serving=len(view.serving),
        updated=len(view.updated),
        engines=(*known, *added),
        lost_at=view.lost_at,
        sizing=view.chosen.sizing,
        scaling=view.scaling,
    )


def _engine_status(view: TierView, engine: ObservedEngine) -> EngineStatus:
    gang, placement, phase = view.gangs[engine.name], view.placement(engine), view.phase(engine)
    return EngineStatus(
        name=engine.name,
        revision=engine.revision,
        phase=phase,
        message=missing_nodes(engine, placement) if phase == "Waiting" else None,
        restarts=gang.restarts,
        not_before=gang.not_before,
        members=gang.members,
        placement=placement.memory if placement.memory != PlacementStatus() else None,
    )


def missing_nodes(engine: ObservedEngine, placement: Placement) -> str:
    """What an engine without pods waits for."""
    gpus = f"{engine.gpus} GPUs on " if engine.gpus is not None else ""
    memory = placement.memory
    assert memory.retry_at is not None, "only an engine without pods waits for a time"
    return (
        f"needs {gpus}{engine.nodes} nodes at once; {memory.placed} of {engine.nodes} pods found one;"
        f" next try at {stamp(memory.retry_at)}"
    )
