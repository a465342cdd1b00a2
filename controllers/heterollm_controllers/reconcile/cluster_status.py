"""Step 7: the status, from what every step found, and when to reconcile again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from heterollm_controllers.api.errors import Impossible
from heterollm_controllers.api.objects import Failure
from heterollm_controllers.api.v1alpha1.status import ExternalTierStatus, HeteroLLMClusterStatus, RoutingStatus
from heterollm_controllers.api.vocabulary import ConditionType, Reason
from heterollm_controllers.engines.tier_view import TierView
from heterollm_controllers.observation.engines import ObservedEngine
from heterollm_controllers.reconcile.context import ReconcileContext
from heterollm_controllers.reconcile.control_loop import Steering
from heterollm_controllers.reconcile.journal import Journal
from heterollm_controllers.reconcile.routers import routers_of
from heterollm_controllers.routing.versioning import Publication
from heterollm_controllers.status.cluster_conditions import cluster_conditions
from heterollm_controllers.status.conditions import conditions
from heterollm_controllers.status.decisions import journal as latest
from heterollm_controllers.status.external_tiers_answer import external_tiers_answer
from heterollm_controllers.status.metrics_available import metrics_available
from heterollm_controllers.status.ready import Wait
from heterollm_controllers.status.tier_status import tier_status
from heterollm_controllers.status.tiers_compatible import compatible
from heterollm_controllers.traffic.fallback_in_force import state_in_force

__all__ = ["Progress", "cluster_status", "next_deadline"]


@dataclass(frozen=True)
class Progress:
    """How far the cluster is from what it should be.

    Attributes:
        refusals: why tiers of the spec cannot be carried out.
        failures: what of the children could not be carried out.
        removed: engines of tiers that the spec no longer has.
        external: what is reported of tiers that are services outside of the cluster.
        pending: whether anything is about to be applied.
        publishing: whether the routing policy is.
    """

    refusals: Sequence[Impossible]
    failures: Sequence[Failure]
    removed: Sequence[ObservedEngine]
    external: tuple[ExternalTierStatus, ...]
    pending: bool
    publishing: bool


def cluster_status(
    context: ReconcileContext,
    views: Sequence[TierView],
    steering: Steering,
    policy: Publication | None,
    progress: Progress,
    journal: Journal,
) -> HeteroLLMClusterStatus:
    """The complete status. A `policy` of None leaves what it said of routing."""
    before, generation = context.conditions, context.cluster.generation
    routers = routers_of(context)
    external = tuple(
        item.model_copy(update={"problem": steering.state.external.get(item.name)}) for item in progress.external
    )
    updates = cluster_conditions(
        progress.refusals,
        views,
        _waits(progress, routers.waits),
        progress.failures,
        progress.pending and not context.held(ConditionType.PROGRAMMED),
        compatible(context.spec, context.family_mismatch),
        metrics_available(
            steering.missing,
            context.config.prometheus,
            context.observed.readings is not None,
            before.get(ConditionType.METRICS_AVAILABLE),
        ),
        *external_tiers_answer(external),
        refused=steering.refused,
        defects=journal.failed,
    )
    fallback = steering.state.fallback
    return HeteroLLMClusterStatus(
        observed_generation=generation,
        mode=state_in_force(fallback),
        engines=f"{sum(len(view.serving) for view in views)}/{sum(view.desired for view in views)}",
        conditions=conditions(updates, before, generation, context.now),
        tiers=tuple(tier_status(view) for view in views),
        external_tiers=external or None,
        routing=_routing(context, policy, routers.ready),
        fallback=fallback,
        migration=steering.state.migration,
        decisions=latest(context.status.decisions, journal.decisions),
    )


def _routing(context: ReconcileContext, policy: Publication | None, routers: int) -> RoutingStatus:
    cluster, service, recorded = context.cluster, context.spec.routing.service, context.status.routing
    port = "" if service.port == 80 else f":{service.port}"
    version, digest = (recorded.policy_version, recorded.policy_digest) if recorded is not None else (0, "")
    if policy is not None:
        version, digest = policy.version, policy.digest
    return RoutingStatus(
        url=f"http://{cluster.name}.{cluster.namespace}.svc.{context.config.cluster_domain}{port}",
        policy_version=version,
        policy_digest=digest,
        routers=routers,
    )


def _waits(progress: Progress, routers: str | None) -> list[Wait]:
    """What Ready waits for beside the engines of the tiers."""
    waits: list[Wait] = []
    if progress.removed:
        older = ", ".join(engine.name for engine in progress.removed)
        waits.append(Wait(Reason.ENGINES_DRAINING, f"{older} of removed tiers finish their requests"))
    if routers is not None:
        waits.append(Wait(Reason.ROUTERS_STARTING, routers))
    if progress.publishing:
        waits.append(Wait(Reason.APPLYING, "the routing policy is being published"))
    return waits


def next_deadline(context: ReconcileContext, views: Sequence[TierView], steering: Steering) -> float | None:
    """Seconds until a back-off of a broken or waiting engine ends, the time of one partly scheduled, or a fallback."""
    deadlines = [gang.not_before for view in views for gang in view.gangs.values() if gang.why and gang.not_before]
    placements = (view.placement(engine) for view in views for engine in view.engines)
    deadlines += [placement.deadline for placement in placements if placement.deadline is not None]
    deadlines += [steering.deadline] if steering.deadline is not None else []
    later = [(deadline - context.now).total_seconds() for deadline in deadlines if deadline > context.now]
    return min(later, default=None)
