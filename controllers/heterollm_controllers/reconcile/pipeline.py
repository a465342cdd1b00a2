"""One reconcile of a cluster: from what is observed to what to record and what to do. Pure: same input, same outcome.

The steps are called by name, in this order, and each hands on what it found. A step that fails by a defect of ours is
on record in the status, and holds what it would have decided: the others go on, and nothing is deleted for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial

from pydantic import ValidationError

from heterollm_controllers.api.errors import Impossible
from heterollm_controllers.api.installation import Config
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.api.vocabulary import ConditionType, Reason
from heterollm_controllers.engines.gang_placement import Placement
from heterollm_controllers.engines.tier_engines import TierEngines, tier_state_of
from heterollm_controllers.engines.tier_view import TierView
from heterollm_controllers.observation.earlier_status import earlier_status
from heterollm_controllers.observation.tier_state import TierState
from heterollm_controllers.reconcile.children import (
    engines_to_delete,
    publication,
    to_apply,
    to_prune,
    wanted_children,
)
from heterollm_controllers.reconcile.cluster_status import Progress, cluster_status, next_deadline
from heterollm_controllers.reconcile.context import ReconcileContext
from heterollm_controllers.reconcile.contract import Observed, Outcome
from heterollm_controllers.reconcile.control_loop import Steering, steer, traffic_in_force
from heterollm_controllers.reconcile.control_state import control_state_of
from heterollm_controllers.reconcile.engine_steps import (
    held_placements,
    held_tier,
    place_engines,
    plan_tier,
    removed_engines,
    tier_engines,
)
from heterollm_controllers.reconcile.external_tiers import ExternalTiers, external_tiers
from heterollm_controllers.reconcile.journal import Journal
from heterollm_controllers.reconcile.recheck import Recheck
from heterollm_controllers.reconcile.revision_choice import choose_revisions, dry_runs
from heterollm_controllers.reconcile.tier_costs import tier_costs
from heterollm_controllers.render.owner import Cluster
from heterollm_controllers.status.cluster_conditions import cluster_conditions
from heterollm_controllers.status.conditions import ConditionUpdate, conditions, previous, transitions
from heterollm_controllers.status.metrics_available import metrics_available
from heterollm_controllers.status.tiers_compatible import UNCHECKED

__all__ = ["reconcile"]

_MAY_END_UNSEEN = {Reason.POD_TEMPLATE_INVALID, Reason.FORBIDDEN, Reason.NOT_CHECKED, Reason.INTERNAL_ERROR}
"""Refusals by what no watch shows: a quota is raised, a policy goes, a webhook answers again."""


def reconcile(observed: Observed, config: Config, now: datetime) -> Outcome:
    """Decide what to do about one cluster at `now` (timezone-aware)."""
    if "deletionTimestamp" in observed.cluster["metadata"]:
        return Outcome(status=dict(observed.cluster.get("status") or {}))  # the garbage collector deletes the children
    if observed.unseen:
        return _unseen(observed, now)
    try:
        spec = HeteroLLMClusterSpec.model_validate(observed.cluster["spec"])
    except ValidationError as error:
        return _invalid(observed, str(error), config, now)
    return _reconcile(ReconcileContext(observed, spec, config, now))


def _reconcile(context: ReconcileContext) -> Outcome:
    journal = Journal(context.now)
    chosen, refusals = choose_revisions(context, journal)
    external = journal.attempt(
        "external tiers",
        lambda: external_tiers(context),
        lambda: ExternalTiers(context.spec, status=context.status.external_tiers or ()),
    )
    if checks := dry_runs(context, chosen):
        return Outcome(status=dict(context.observed.cluster.get("status") or {}), check=checks)

    placements = journal.attempt(
        "gang placement", lambda: place_engines(context, chosen, journal), lambda: held_placements(context)
    )
    tiers = [tier_engines(context, item, placements, journal) for item in chosen]
    steering, recheck = journal.attempt(
        "control loop",
        lambda: _steer(context, external.spec, tiers, journal),
        lambda: (_held_steering(context, external.spec), None),
    )
    views = _plan_tiers(context, tiers, placements, steering, journal)
    removed = removed_engines(context, views, journal)
    policy = journal.attempt(
        "routing policy",
        lambda: publication(context, external.spec, views, steering) if external.spec.tiers else None,
        lambda: None,
    )
    wanted = wanted_children(context, views, policy, journal)
    apply, conflicts = to_apply(context, wanted)
    progress = Progress(
        (*refusals, *external.refusals),
        failures=(*context.observed.failures, *conflicts),
        removed=removed,
        external=external.status,
        pending=bool(apply),
        publishing=any(item["kind"] == "ConfigMap" for item in apply),
    )
    costs = journal.attempt("cost", lambda: tier_costs(context, views, removed), lambda: None)
    status = cluster_status(context, views, steering, policy, progress, journal)
    return Outcome(
        status=status.to_wire(),
        events=(*journal.events, *transitions(context.conditions, status.conditions)),
        apply=tuple(apply),
        # Routers let go of an engine by the policy: where there is none, no engine goes.
        delete=(*engines_to_delete(views, removed), *to_prune(context, wanted)) if policy is not None else (),
        requeue_after=next_deadline(context, views, steering),
        recheck=recheck,
        retry=any(refusal.reason in _MAY_END_UNSEEN for refusal in refusals),
        costs=costs,
        defects=tuple(journal.defects),
    )


def _steer(
    context: ReconcileContext, spec: HeteroLLMClusterSpec, tiers: Sequence[TierEngines], journal: Journal
) -> tuple[Steering, Recheck | None]:
    """How many engines each tier should have, and which fallback is in force."""
    found = {tier.name: tier_state_of(tier) for tier in tiers}
    found |= {tier.name: TierState(tier.name, (), external=True) for tier in spec.external_tiers}
    states = tuple(found[tier.name] for tier in spec.tiers if tier.name in found)
    steering = steer(spec, states, control_state_of(context.status), context.observed.readings, context.now)
    for decision in steering.decisions:
        journal.decide(Reason(decision.action), decision.subject, decision.message)
    return steering, Recheck(spec, states, steering.state, steering.missing, steering.refused)


def _held_steering(context: ReconcileContext, spec: HeteroLLMClusterSpec) -> Steering:
    state = control_state_of(context.status)
    traffic = traffic_in_force(spec, state)
    return Steering(state, missing="the control loop failed", traffic=traffic)


def _plan_tiers(
    context: ReconcileContext,
    tiers: Sequence[TierEngines],
    placements: Mapping[str, Placement],
    steering: Steering,
    journal: Journal,
) -> list[TierView]:
    """The next step of each tier. One that fails keeps its engines."""
    return [
        journal.attempt(
            f"tier {tier.name}",
            partial(plan_tier, context, tier, placements, steering, journal),
            partial(held_tier, tier, placements, steering),
        )
        for tier in tiers
    ]


def _invalid(observed: Observed, message: str, config: Config, now: datetime) -> Outcome:
    """A spec that an older schema let in: say so, and touch nothing."""
    cluster = Cluster(observed.cluster)
    known = earlier_status(observed.cluster)
    refusal = Impossible(Reason.INVALID_SPEC, message)
    before = previous(known)
    metrics = metrics_available("", config.prometheus, read=False, before=before.get(ConditionType.METRICS_AVAILABLE))
    updates = cluster_conditions([refusal], [], [], [], False, UNCHECKED, metrics)
    after = conditions(updates, before, cluster.generation, now)
    updated = known.model_copy(update={"observed_generation": cluster.generation, "conditions": after})
    return Outcome(status=updated.to_wire(), events=tuple(transitions(before, after)))


def _unseen(observed: Observed, now: datetime) -> Outcome:
    """Children that nobody sees may exist: say so, and touch nothing."""
    cluster = Cluster(observed.cluster)
    known = earlier_status(observed.cluster)
    what = ", ".join(observed.unseen)
    message = f"nothing is changed while the operator cannot watch the {what} of namespace {cluster.namespace}"
    before = previous(known)
    update = ConditionUpdate(ConditionType.PROGRAMMED, False, Reason.WATCH_REFUSED, message)
    after = conditions([update], before, cluster.generation, now)
    kept = [condition for condition in known.conditions if condition.type != ConditionType.PROGRAMMED]
    updated = known.model_copy(update={"conditions": (*kept, *after)})
    return Outcome(status=updated.to_wire(), events=tuple(transitions(before, after)))
