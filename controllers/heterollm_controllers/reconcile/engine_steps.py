"""Steps 2 and 4: how engines find their nodes, which are whole, and which are added, drained and restarted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from heterollm_controllers.api import names
from heterollm_controllers.api.v1alpha1.status import PlacementStatus
from heterollm_controllers.api.v1alpha1.tier import Tier
from heterollm_controllers.api.vocabulary import Reason
from heterollm_controllers.engines.gang_placement import Candidate, Placement, place_gangs
from heterollm_controllers.engines.gang_restart import check_gang, remembered
from heterollm_controllers.engines.revisions import Chosen
from heterollm_controllers.engines.rollout import Step, next_step
from heterollm_controllers.engines.standby import on_standby
from heterollm_controllers.engines.tier_engines import TierEngines, lost_since
from heterollm_controllers.engines.tier_view import TierView
from heterollm_controllers.observation.engines import ObservedEngine
from heterollm_controllers.reconcile.context import ReconcileContext
from heterollm_controllers.reconcile.control_loop import Steering
from heterollm_controllers.reconcile.journal import Journal

__all__ = ["held_placements", "held_tier", "place_engines", "plan_tier", "removed_engines", "tier_engines"]


def place_engines(context: ReconcileContext, chosen: Sequence[Chosen], journal: Journal) -> dict[str, Placement]:
    """How the engines of all tiers, which may want the same GPUs, find their nodes."""
    placements = place_gangs((item for each in chosen for item in _candidates(context, each.tier)), context.now)
    for name, placement in placements.items():
        if placement.released:
            journal.decide(Reason.ENGINE_RELEASED, name, placement.released)
        if placement.retried:
            journal.decide(Reason.ENGINE_RETRIED, name, placement.retried)
    return placements


def held_placements(context: ReconcileContext) -> dict[str, Placement]:
    """Every engine placed as it was."""
    return {name: Placement(known.placement) for name, known in context.known.items() if known.placement is not None}


def _candidates(context: ReconcileContext, tier: Tier) -> Iterable[Candidate]:
    pool = f"{tier.accelerator.resource_name} {tier.accelerator.type}"
    time = timedelta(seconds=tier.engine.placement_seconds)
    for engine in context.engines_in(tier.name):
        known = context.known.get(engine.name)
        memory = known.placement if known is not None else None
        yield Candidate(engine, memory or PlacementStatus(), pool, time)


def tier_engines(
    context: ReconcileContext, chosen: Chosen, placements: Mapping[str, Placement], journal: Journal
) -> TierEngines:
    """A tier's engines, and which of them are whole."""
    tier = chosen.tier.name
    engines = context.engines_in(tier)
    off = {name for name, placement in placements.items() if placement.off}
    gangs = journal.attempt(
        f"gang restart of tier {tier}",
        lambda: {
            engine.name: check_gang(engine, context.known.get(engine.name), context.now, engine.name in off)
            for engine in engines
        },
        lambda: {engine.name: remembered(context.known.get(engine.name)) for engine in engines},
    )
    broken = off | {name for name, gang in gangs.items() if gang.why}
    whole = tuple(replace(engine, broken=engine.name in broken) for engine in engines)
    standby = frozenset(engine.name for engine in engines if context.phase_before(engine.name) == "Standby")
    return TierEngines(chosen, whole, gangs, standby, lost_since(whole, context.tier_before(tier), context.now))


def plan_tier(
    context: ReconcileContext,
    tier: TierEngines,
    placements: Mapping[str, Placement],
    steering: Steering,
    journal: Journal,
) -> TierView:
    """The next step of a tier towards its revision and its number of engines."""
    chosen, engines = tier.chosen, tier.engines
    desired = steering.state.target(chosen.tier)
    # Engines on standby have nothing to do, those without metrics may have much.
    load = {item.name: 0.0 if item.name in tier.standby else math.inf for item in engines} | dict(steering.load)
    reserve = chosen.tier.replicas.standby
    step = next_step(desired + reserve, chosen.name, engines, load)
    added = tuple(names.engine_name(context.cluster.name, tier.name, ordinal) for ordinal in step.add)
    _record(context, tier, step, added, journal)
    drained = frozenset(engine.name for engine in step.drain)
    staying = [engine for engine in engines if engine.name not in drained]
    standby = on_standby(staying, desired, tier.standby, load) if reserve else frozenset[str]()
    return replace(held_tier(tier, placements, steering), added=added, drained=drained, standby=standby)


def held_tier(tier: TierEngines, placements: Mapping[str, Placement], steering: Steering) -> TierView:
    """A tier whose engines stay as they are."""
    return TierView(
        chosen=tier.chosen,
        desired=steering.state.target(tier.chosen.tier),
        engines=tier.engines,
        gangs=tier.gangs,
        placements=placements,
        added=(),
        drained=frozenset(),
        standby=tier.standby,
        scaling=steering.state.scaling.get(tier.name),
        lost_at=tier.lost_at,
    )


def _record(context: ReconcileContext, tier: TierEngines, step: Step, added: Iterable[str], journal: Journal) -> None:
    """Decide what was not decided before: an engine that is being added or drained is so until it is done."""
    chosen = tier.chosen
    if chosen.name != context.revision_before(tier.name):
        journal.decide(Reason.NEW_REVISION, tier.name, f"{chosen.name}: {_engine_in_words(chosen)}")
    new = [name for name in added if name not in context.known]
    if new:
        journal.decide(Reason.ENGINE_ADDED, tier.name, f"{', '.join(new)}: {step.why}")
    for engine in step.drain:
        if context.phase_before(engine.name) != "Draining":
            journal.decide(Reason.ENGINE_DRAINED, engine.name, step.why)
    for name, gang in tier.gangs.items():
        if gang.pods_to_delete:
            journal.decide(Reason.ENGINE_RESTARTED, name, f"restart {gang.restarts}: {gang.why}")


def _engine_in_words(chosen: Chosen) -> str:
    sizing = chosen.sizing
    return (
        f"{chosen.tier.model.id} on {sizing.gpus_per_engine} x {chosen.tier.accelerator.type} per engine"
        f" over {sizing.nodes} node(s)"
    )


def removed_engines(context: ReconcileContext, views: Sequence[TierView], journal: Journal) -> list[ObservedEngine]:
    """Engines of tiers that the spec no longer has; a tier that is merely not accepted keeps its engines."""
    tiers = {tier.name for tier in context.spec.engine_tiers} | {view.chosen.tier.name for view in views}
    removed = [engine for engine in context.engines if engine.tier not in tiers]
    known = {item.name for item in context.status.tiers}
    for tier in sorted({engine.tier for engine in removed} & known):
        journal.decide(Reason.TIER_REMOVED, tier, "the spec no longer has this tier")
    return removed
