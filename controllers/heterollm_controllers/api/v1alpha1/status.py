"""The status types of serving.heterollm.io/v1alpha1: what the operator reports, and its journal of decisions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from heterollm_controllers.api.schema import Name, Time, WireType
from heterollm_controllers.api.v1alpha1.migration_status import MigrationStatus
from heterollm_controllers.api.v1alpha1.sizing import Sizing
from heterollm_controllers.api.vocabulary import (
    CachingMode,
    ConditionType,
    EnginePhase,
    EscalationPhase,
    FallbackState,
)

__all__ = [
    "Condition",
    "Decision",
    "EngineStatus",
    "EscalationStatus",
    "ExternalTierStatus",
    "FallbackStatus",
    "ForecastStatus",
    "HeteroLLMClusterStatus",
    "PlacementStatus",
    "RoutingStatus",
    "ScalingStatus",
    "TierStatus",
]


class Condition(WireType):
    """A Kubernetes condition."""

    type: Annotated[str, Field(max_length=64, description="What is stated.")]
    status: Annotated[Literal["True", "False", "Unknown"], Field(description="Whether it holds.")]
    reason: Annotated[str, Field(max_length=128, description="Why, as one word.")]
    message: Annotated[str, Field(max_length=4096, description="Why, for people.")]
    observed_generation: Annotated[int, Field(ge=0, description="Generation of the spec this speaks of.")]
    last_transition_time: Annotated[Time, Field(description="When the status last changed.")]


class PlacementStatus(WireType):
    """What is remembered of a multi-node engine that has not found all its nodes."""

    half_since: Annotated[
        Time | None, Field(description="Since when it has held some of its nodes, and not all of them.")
    ] = None
    room_since: Annotated[
        Time | None, Field(description="When other engines of the cluster released their GPUs for it to go on waiting.")
    ] = None
    releases: Annotated[int, Field(ge=0, description="Times it released its GPUs since it was last placed whole.")] = 0
    placed: Annotated[int, Field(ge=0, description="Pods that had a node when it last released its GPUs.")] = 0
    retry_at: Annotated[Time | None, Field(description="Back-off: it has no pods before this time.")] = None


class EngineStatus(WireType):
    """One engine."""

    name: Annotated[Name, Field(description="Its StatefulSet.")]
    revision: Annotated[Name, Field(description="Its ControllerRevision.")]
    phase: Annotated[
        EnginePhase,
        Field(
            description=(
                "Where it is in its life; Waiting: without pods, until it may look for its nodes again; Standby: ready,"
                " and without requests until the tier grows."
            )
        ),
    ]
    message: Annotated[str | None, Field(max_length=256, description="What it waits for, for people.")] = None
    restarts: Annotated[int, Field(ge=0, description="Restarts of the whole engine by the operator.")] = 0
    not_before: Annotated[Time | None, Field(description="Back-off: no further whole restart before this time.")] = None
    members: Annotated[
        tuple[Annotated[str, Field(max_length=36)], ...],
        Field(max_length=64, description="Pod uids of the running gang of a multi-node engine."),
    ] = ()
    placement: Annotated[
        PlacementStatus | None, Field(description="Of a multi-node engine that has not found all its nodes.")
    ] = None


class ForecastStatus(WireType):
    """What the tier was last seen to need soon."""

    engines: Annotated[int, Field(ge=0, description="Engines needed at the end of the horizon.")]
    horizon_seconds: Annotated[int, Field(ge=0, description="How far it looked ahead: a cold start.")]
    error_percent: Annotated[
        int | None, Field(ge=0, description="By how much forecasts of the last hour missed, on average.")
    ] = None


class ScalingStatus(WireType):
    """The last decision on the number of engines of a tier."""

    target: Annotated[int, Field(ge=0, description="Engines it should have, standby ones not counted.")]
    reason: Annotated[str, Field(max_length=64, description="By which rule, as one word.")]
    message: Annotated[str, Field(max_length=1024, description="From which figures.")]
    decided_at: Annotated[Time, Field(description="When the target last changed.")]
    raised_at: Annotated[
        Time | None, Field(description="When it was last raised, or its first engine was asked for again.")
    ] = None
    limited: Annotated[
        str | None, Field(max_length=64, description="Why the tier cannot grow though it should, as one word.")
    ] = None
    caching: Annotated[
        CachingMode,
        Field(description="Aggressive: conversations stay longer on their engine, as the tier cannot grow."),
    ] = "Normal"
    forecast: Annotated[ForecastStatus | None, Field(description="As of the last decision.")] = None


class EscalationStatus(WireType):
    """Level 2 of the fallback for one tier: its requests go to the last tier, as far as that has room."""

    tier: Annotated[Name, Field(description="The tier that failed.")]
    phase: Annotated[
        EscalationPhase,
        Field(
            description=(
                "Holding: it rests, but for what its stand-in has no room for; Probing: it gets a few requests;"
                " Ramping: it gets a growing share; Watching: it has all of them again, and its failures are"
                " remembered."
            )
        ),
    ]
    percent: Annotated[int, Field(ge=0, le=100, description="Share of its requests that it gets.")]
    since: Annotated[Time, Field(description="Since when it is in this phase, with this share.")]
    until: Annotated[Time | None, Field(description="When the phase ends at the earliest.")] = None
    hold_seconds: Annotated[int, Field(ge=0, description="How long it rests; doubled with every failure.")]
    reopened: Annotated[
        tuple[Time, ...], Field(max_length=16, description="When it failed again after it had rested.")
    ] = ()


class FallbackStatus(WireType):
    """Which fallback is in force."""

    state: Annotated[
        FallbackState,
        Field(
            description=(
                "Escalated: level 2, some tier's requests go to the last; PureLarge: level 3, all do; both as far as it"
                " has room."
            )
        ),
    ] = "Normal"
    since: Annotated[Time, Field(description="Since when.")]
    reason: Annotated[str, Field(max_length=64, description="By which rule, as one word.")]
    message: Annotated[str, Field(max_length=1024, description="From which figures.")]
    dry_run: Annotated[bool, Field(description="Only reported: the routers were told nothing of it.")] = False
    escalations: Annotated[
        tuple[EscalationStatus, ...], Field(max_length=8, description="Tiers at level 2, or lately there.")
    ] = ()
    percent: Annotated[
        int, Field(ge=0, le=100, description="Share of their requests that the tiers get; below 100 in PureLarge only.")
    ] = 100
    step_since: Annotated[Time | None, Field(description="Since when that share.")] = None
    clean_since: Annotated[
        Time | None, Field(description="PureLarge: since when nothing speaks against the tiers.")
    ] = None
    degraded: Annotated[
        str | None,
        Field(max_length=12, description="The tier that answers in place of the last one, which fails itself."),
    ] = None


class TierStatus(WireType):
    """One tier."""

    name: Annotated[Name, Field(description="The tier.")]
    revision: Annotated[Name, Field(description="The engine revision it should run.")]
    desired: Annotated[int, Field(ge=0, description="Engines it should have.")]
    serving: Annotated[int, Field(ge=0, description="Engines that serve, of any revision.")]
    updated: Annotated[int, Field(ge=0, description="Engines of the wanted revision that serve.")]
    lost_at: Annotated[
        Time | None, Field(description="When it lost the last engine that served, as long as none serves again.")
    ] = None
    engines: Annotated[tuple[EngineStatus, ...], Field(max_length=512, description="Its engines.")] = ()
    sizing: Annotated[Sizing | None, Field(description="The engine derived from the tier spec.")] = None
    scaling: Annotated[ScalingStatus | None, Field(description="The last decision on the number of engines.")] = None


class ExternalTierStatus(WireType):
    """One tier that is a service outside of the cluster."""

    name: Annotated[Name, Field(description="The tier.")]
    url: Annotated[str, Field(max_length=512, description="The service.")]
    model: Annotated[str, Field(max_length=256, description="The model there.")]
    secret: Annotated[
        str | None, Field(max_length=512, description="Secret and key inside it that hold the API key.")
    ] = None
    routed: Annotated[
        bool,
        Field(description="Whether the routers send requests there: once all of them have mounted the Secret."),
    ]
    problem: Annotated[
        str | None,
        Field(max_length=64, description="Why it does not answer, as its latest requests met it, as one word."),
    ] = None


class RoutingStatus(WireType):
    """The request path."""

    url: Annotated[str, Field(max_length=512, description="Where clients inside the Kubernetes cluster send requests.")]
    policy_version: Annotated[int, Field(ge=0, description="Version of the routing policy last published.")]
    policy_digest: Annotated[str, Field(max_length=16, description="Digest of that policy's files.")]
    routers: Annotated[int, Field(ge=0, description="Routers that are ready.")]


class Decision(WireType):
    """One decision, recorded before any effect of it."""

    time: Annotated[Time, Field(description="When.")]
    action: Annotated[str, Field(max_length=64, description="What, as one word.")]
    subject: Annotated[Name, Field(description="Of which tier or engine.")]
    message: Annotated[str, Field(max_length=1024, description="From which figures, by which rule.")]


class HeteroLLMClusterStatus(WireType):
    """What the operator observed and decided."""

    observed_generation: Annotated[int, Field(ge=0, description="Generation of the spec this status speaks of.")] = 0
    mode: Annotated[str, Field(max_length=32, description="The fallback that is in force.")] = "Normal"
    engines: Annotated[str, Field(max_length=32, description="Serving engines of the wanted ones, as in 3/4.")] = "0/0"
    conditions: Annotated[
        tuple[Condition, ...],
        Field(
            max_length=16,
            description=f"{', '.join(ConditionType)}.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = ()
    tiers: Annotated[
        tuple[TierStatus, ...],
        Field(max_length=8, description="The tiers.", json_schema_extra={"x-kubernetes-list-type": "atomic"}),
    ] = ()
    external_tiers: Annotated[
        tuple[ExternalTierStatus, ...] | None,
        Field(
            max_length=8,
            description="Tiers that are services outside of the cluster.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = None
    routing: Annotated[RoutingStatus | None, Field(description="The request path.")] = None
    fallback: Annotated[FallbackStatus | None, Field(description="Which fallback is in force.")] = None
    migration: Annotated[MigrationStatus | None, Field(description="How far the migration is.")] = None
    decisions: Annotated[
        tuple[Decision, ...],
        Field(
            max_length=20,
            description="The latest decisions, oldest first.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()

    def to_wire(self) -> dict[str, Any]:
        """As the API server stores it: camelCase, absent fields left out, lists instead of tuples."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)
