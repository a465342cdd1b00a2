"""The engines of one tier before anything is decided on them, and what the control loop is told of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from heterollm_controllers.api.timestamps import whole_second
from heterollm_controllers.api.v1alpha1.status import TierStatus
from heterollm_controllers.engines.gang_restart import Gang
from heterollm_controllers.engines.revisions import Chosen
from heterollm_controllers.observation.engines import ObservedEngine
from heterollm_controllers.observation.tier_state import EngineState, TierState

__all__ = ["TierEngines", "lost_since", "tier_state_of"]


@dataclass(frozen=True)
class TierEngines:
    """The engines of one tier, before anything is decided on them.

    Attributes:
        standby: names of those that were on standby.
        lost_at: when the tier lost the last engine that served; None while one serves or none ever did.
    """

    chosen: Chosen
    engines: tuple[ObservedEngine, ...]
    gangs: Mapping[str, Gang]
    standby: frozenset[str]
    lost_at: datetime | None

    @property
    def name(self) -> str:
        """The tier's name."""
        return self.chosen.tier.name


def lost_since(engines: Iterable[ObservedEngine], before: TierStatus | None, now: datetime) -> datetime | None:
    """When the tier lost its last engine, from its former status; one that is to have none has lost nothing."""
    if before is None or before.desired == 0 or any(engine.serving for engine in engines):
        return None
    return before.lost_at or (whole_second(now) if before.serving else None)


def tier_state_of(tier: TierEngines) -> TierState:
    """What steering is told of a tier."""
    speed = tier.chosen.sizing.performance
    alive = [engine for engine in tier.engines if not engine.leaving]
    return TierState(
        name=tier.name,
        engines=tuple(_engine_state(engine, engine.name in tier.standby) for engine in alive),
        leaving=len(tier.engines) - len(alive),
        rolling=any(engine.revision != tier.chosen.name for engine in alive),
        lost=tier.lost_at is not None,
        concurrency=speed.concurrent_requests or None if speed is not None else None,
        rate=tier.chosen.engine_rate,
        engine_dollars_per_hour=tier.chosen.engine_dollars_per_hour,
        start_seconds=_start_seconds(alive),
    )


def _engine_state(engine: ObservedEngine, standby: bool) -> EngineState:
    leader = engine.leader
    waiting = [pod.unschedulable_since for pod in engine.alive if pod.unschedulable_since is not None]
    return EngineState(
        name=engine.name,
        pod=leader.name if leader is not None else "",
        serving=engine.serving,
        standby=standby,
        serving_since=leader.ready_since if leader is not None and engine.serving else None,
        unschedulable_since=min(waiting, default=None),
        created=engine.created,
    )


def _start_seconds(engines: Iterable[ObservedEngine]) -> float | None:
    """How long engines took from their creation to their first readiness; the middle one's."""
    leaders = [engine.leader for engine in engines if engine.serving]
    taken = [
        (pod.ready_since - pod.created).total_seconds()
        for pod in leaders
        # After a restart of a container, readiness is no longer the first.
        if pod is not None and pod.ready_since is not None and pod.created is not None and not pod.restarts
    ]
    # The one time is the node's, the other the API server's: a clock that is slow says nothing.
    known = [seconds for seconds in taken if seconds >= 0]
    return median(known) if known else None
