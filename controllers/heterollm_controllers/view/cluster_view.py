"""One cluster as people see it, from the object that the API server holds and from figures. Nothing is decided here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from pydantic import ValidationError

from heterollm_controllers.api.schema import WireType
from heterollm_controllers.api.v1alpha1.migration_status import MigrationStatus
from heterollm_controllers.api.v1alpha1.status import (
    Condition,
    Decision,
    EngineStatus,
    ExternalTierStatus,
    FallbackStatus,
    HeteroLLMClusterStatus,
    TierStatus,
)
from heterollm_controllers.api.vocabulary import ConditionType
from heterollm_controllers.cost.saving import saving
from heterollm_controllers.observation.earlier_status import earlier_status
from heterollm_controllers.traffic.fallback_in_force import fallback_shares
from heterollm_controllers.traffic.migration_in_force import migration_shares
from heterollm_controllers.traffic.plan import plan_traffic
from heterollm_controllers.view.figures import Chart, ClusterFigures, TierFigures

__all__ = ["ClusterState", "ClusterView", "TierRow", "cluster_view", "urgent_first"]

ClusterState = Literal["Unreadable", "Stalled", "NotReady", "Reconciling", "New", "Deleting", "Ready"]
"""How a cluster is, those first that somebody should look at.

Stalled: nothing changes until somebody acts; New: the operator has not reported yet; Unreadable: its status is none
that this release knows.
"""


class TierRow(WireType):
    """One tier.

    Attributes:
        traffic_weight: per cent of its own requests that it gets; the rest goes to the tier that stands in for it.
        scaling: the last decision on the number of engines, as a word; empty if there was none.
        url: of an external tier; None for one with engines.
        problem: why an external tier does not answer, as a word.
    """

    name: str
    serving: int = 0
    wanted: int = 0
    traffic_weight: int = 100
    scaling: str = ""
    scaling_message: str = ""
    url: str | None = None
    problem: str | None = None
    engines: tuple[EngineStatus, ...] = ()
    figures: TierFigures = TierFigures()


class ClusterView(WireType):
    """One cluster.

    Attributes:
        why: of its state, for people.
        level: the fallback in force: Normal, Escalated or PureLarge.
        saving: share saved against large engines alone, of the last hour: 0.4 is 40 %, negative is a loss.
        decisions: the newest first.
        charts: the last hour, if it was asked for.
    """

    namespace: str
    name: str
    state: ClusterState
    why: str
    level: str = "Normal"
    serving: int = 0
    wanted: int = 0
    url: str = ""
    saving: float | None = None
    figures: ClusterFigures = ClusterFigures()
    tiers: tuple[TierRow, ...] = ()
    conditions: tuple[Condition, ...] = ()
    fallback: FallbackStatus | None = None
    migration: MigrationStatus | None = None
    decisions: tuple[Decision, ...] = ()
    charts: tuple[Chart, ...] = ()


def cluster_view(
    cluster: Mapping[str, Any], figures: ClusterFigures | None = None, charts: Sequence[Chart] = ()
) -> ClusterView:
    """What is to be seen of a cluster. Whatever it holds, there is a view of it.

    Args:
        cluster: the object as the API server gives it.
        figures: None where nobody knows any.
        charts: its last hour.
    """
    figures = figures or ClusterFigures()
    metadata = cluster["metadata"]
    place = {"namespace": metadata["namespace"], "name": metadata["name"], "figures": figures, "charts": tuple(charts)}
    try:
        status = earlier_status(cluster)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        why = f"its status is of another release: {where}: {first['msg']}"
        return ClusterView(**place, state="Unreadable", why=why)
    state, why = _state(metadata, status)
    tiers = _tiers(_names(cluster, status), status, figures)
    return ClusterView(
        **place,
        state=state,
        why=why,
        level=status.mode,
        serving=sum(tier.serving for tier in tiers),
        wanted=sum(tier.wanted for tier in tiers),
        url=status.routing.url if status.routing is not None else "",
        saving=saving(figures.hourly_dollars, figures.hourly_dollars_otherwise),
        tiers=tiers,
        conditions=status.conditions,
        fallback=status.fallback,
        migration=status.migration,
        decisions=tuple(reversed(status.decisions)),
    )


def urgent_first(view: ClusterView) -> tuple[int, bool, str, str]:
    """Sorts clusters: those first that somebody should look at."""
    return get_args(ClusterState).index(view.state), view.level == "Normal", view.namespace, view.name


def _state(metadata: Mapping[str, Any], status: HeteroLLMClusterStatus) -> tuple[ClusterState, str]:
    conditions = {condition.type: condition for condition in status.conditions}
    ready, stalled = conditions.get(ConditionType.READY), conditions.get(ConditionType.STALLED)
    reconciling = conditions.get(ConditionType.RECONCILING)
    if "deletionTimestamp" in metadata:
        return "Deleting", "it was deleted, and its objects go"
    if ready is None:
        return "New", "the operator has not reported yet"
    if stalled is not None and stalled.status == "True":
        return "Stalled", _why(stalled)
    if status.observed_generation < metadata.get("generation", 0):
        return "Reconciling", "the operator has not seen the latest change of its spec yet"
    if ready.status == "True":
        return "Ready", ready.message
    if reconciling is not None and reconciling.status == "True":
        return "Reconciling", _why(reconciling)
    return "NotReady", _why(ready)


def _why(condition: Condition) -> str:
    return f"{condition.reason}: {condition.message}"


def _names(cluster: Mapping[str, Any], status: HeteroLLMClusterStatus) -> list[str]:
    """The tiers of the spec, cheapest first. One that has just left the spec is none any more."""
    spec = cluster.get("spec") or {}
    names = [tier.get("name") for tier in spec.get("tiers") or () if isinstance(tier, Mapping)]
    return [name for name in names if isinstance(name, str)] or [tier.name for tier in status.tiers]


def _tiers(names: Sequence[str], status: HeteroLLMClusterStatus, figures: ClusterFigures) -> tuple[TierRow, ...]:
    with_engines = {tier.name: tier for tier in status.tiers}
    external = {tier.name: tier for tier in status.external_tiers or ()}
    serving = [name for name, tier in with_engines.items() if tier.serving]
    serving += [name for name, tier in external.items() if tier.routed]
    wanted = [
        *fallback_shares(status.fallback, names),
        *migration_shares(status.migration, names, serving, status.fallback),
    ]
    plan = plan_traffic(names, wanted)
    return tuple(
        TierRow(
            name=name,
            traffic_weight=plan.share(name),
            figures=figures.tiers.get(name, TierFigures()),
            **_engines(with_engines.get(name)),
            **_service(external.get(name)),
        )
        for name in names
    )


def _engines(tier: TierStatus | None) -> dict[str, Any]:
    if tier is None:
        return {}
    scaling = tier.scaling
    return {
        "serving": tier.serving,
        "wanted": tier.desired,
        "scaling": "" if scaling is None else scaling.limited or scaling.reason,
        "scaling_message": "" if scaling is None else scaling.message,
        "engines": tier.engines,
    }


def _service(tier: ExternalTierStatus | None) -> dict[str, Any]:
    return {} if tier is None else {"url": tier.url, "problem": tier.problem}
