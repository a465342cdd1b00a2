"""Step 1: which revision each tier should run, and which tiers of the spec cannot be carried out."""

from __future__ import annotations

from collections.abc import Sequence

from heterollm_controllers.api import names
from heterollm_controllers.api.errors import Impossible
from heterollm_controllers.api.objects import Manifest
from heterollm_controllers.api.v1alpha1.tier import Tier
from heterollm_controllers.api.vocabulary import ConditionType, Reason
from heterollm_controllers.engines.revisions import Chosen, choose, keep
from heterollm_controllers.reconcile.context import ReconcileContext
from heterollm_controllers.reconcile.internal_error import described
from heterollm_controllers.reconcile.journal import Journal
from heterollm_controllers.render.diff import digest
from heterollm_controllers.render.engine import engine_from

__all__ = ["choose_revisions", "dry_runs"]


def choose_revisions(context: ReconcileContext, journal: Journal) -> tuple[list[Chosen], list[Impossible]]:
    """The revision of every tier that can run, and why specs of tiers are refused. A refused tier keeps its former."""
    chosen: list[Chosen] = []
    refusals: list[Impossible] = []
    for tier in context.spec.engine_tiers:
        try:
            chosen.append(_wanted(context, tier))
            continue
        except Impossible as refusal:
            refusals.append(refusal)
        except Exception as error:  # a defect met by this tier: the others, and its engines, must go on
            journal.defects.append(error)
            refusals.append(Impossible(Reason.INTERNAL_ERROR, f"tier {tier.name}: {described(error)}"))
        former = keep(tier, context.revisions(tier.name), context.tier_before(tier.name))
        chosen += [former] if former is not None else []
    return chosen, refusals


def dry_runs(context: ReconcileContext, chosen: Sequence[Chosen]) -> tuple[Manifest, ...]:
    """Engines of new revisions that the API server has to judge first."""
    trials = [_trial(context, item) for item in chosen if item.is_new]
    return tuple(trial for trial in trials if digest(trial) not in context.observed.dry_run_results)


def _wanted(context: ReconcileContext, tier: Tier) -> Chosen:
    """The revision that the tier's spec asks for. Raises Impossible where it cannot be carried out."""
    if context.spec.family_check == "Refuse" and context.family_mismatch:
        raise Impossible(Reason.FAMILY_MISMATCH, context.family_mismatch)
    chosen = choose(
        context.cluster,
        context.spec,
        tier,
        context.revisions(tier.name),
        _recorded(context, tier),
        context.config,
        context.config_maps,
    )
    refusal = context.observed.dry_run_results.get(digest(_trial(context, chosen))) if chosen.is_new else None
    if refusal is not None:
        raise Impossible(refusal.reason, f"tier {tier.name}: {refusal.message}")
    return chosen


def _recorded(context: ReconcileContext, tier: Tier) -> str | None:
    """The tier's recorded revision, if it was recorded for an accepted spec of exactly this generation."""
    return context.revision_before(tier.name) if context.held(ConditionType.ACCEPTED) else None


def _trial(context: ReconcileContext, chosen: Chosen) -> Manifest:
    """The next engine of a new revision, for the API server's dry run."""
    taken = {engine.ordinal for engine in context.engines_in(chosen.tier.name)}
    ordinal = next(number for number in range(len(taken) + 1) if number not in taken)
    name = names.engine_name(context.cluster.name, chosen.tier.name, ordinal)
    return engine_from(context.cluster, chosen.revision, name)
