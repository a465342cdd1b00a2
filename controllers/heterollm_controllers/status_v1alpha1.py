"""The status types of serving.heterollm.io/v1alpha1: what the operator reports, and its journal of decisions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from heterollm_controllers.v1alpha1 import WireType

__all__ = [
    "Condition",
    "Decision",
    "EngineStatus",
    "HeteroLLMClusterStatus",
    "RoutingStatus",
    "Sizing",
    "TierStatus",
]

Time = Annotated[str, Field(max_length=64, json_schema_extra={"format": "date-time"})]
Name = Annotated[str, Field(max_length=253)]


class Condition(WireType):
    """A Kubernetes condition."""

    type: Annotated[str, Field(max_length=64, description="What is stated.")]
    status: Annotated[Literal["True", "False", "Unknown"], Field(description="Whether it holds.")]
    reason: Annotated[str, Field(max_length=128, description="Why, as one word of the vocabulary in reasons.py.")]
    message: Annotated[str, Field(max_length=4096, description="Why, for people.")]
    observed_generation: Annotated[int, Field(ge=0, description="Generation of the spec this speaks of.")]
    last_transition_time: Annotated[Time, Field(description="When the status last changed.")]


class EngineStatus(WireType):
    """One engine."""

    name: Annotated[Name, Field(description="Its StatefulSet.")]
    revision: Annotated[Name, Field(description="Its ControllerRevision.")]
    phase: Annotated[
        Literal["Pending", "Unschedulable", "Starting", "Serving", "Restarting", "Draining"],
        Field(description="Where it is in its life."),
    ]
    restarts: Annotated[int, Field(ge=0, description="Restarts of the whole engine by the operator.")] = 0
    not_before: Annotated[Time | None, Field(description="Back-off: no further whole restart before this time.")] = None
    members: Annotated[
        tuple[Annotated[str, Field(max_length=36)], ...],
        Field(max_length=64, description="Pod uids of the running gang of a multi-node engine."),
    ] = ()


class Sizing(WireType):
    """The engine that was derived from the tier spec, and why."""

    gpus_per_engine: Annotated[int, Field(ge=1, description="GPUs of one engine.")]
    nodes: Annotated[int, Field(ge=1, description="Nodes (pods) of one engine.")]
    gpus_per_node: Annotated[int, Field(ge=1, description="GPUs of one pod.")]
    tensor_parallel: Annotated[int, Field(ge=1, description="Tensor-parallel size.")]
    attention_data_parallel: Annotated[int, Field(ge=1, description="Attention data-parallel ranks.")]
    expert_parallel: Annotated[int, Field(ge=1, description="Expert-parallel ranks.")]
    mem_fraction_static: Annotated[
        str | None,
        Field(
            max_length=6,
            description="Share of GPU memory for weights and KV cache; SGLang decides if absent.",
        ),
    ] = None
    reasons: Annotated[
        dict[str, Annotated[str, Field(max_length=256)]],
        Field(max_length=32, description="Why each value is what it is."),
    ]


class TierStatus(WireType):
    """One tier."""

    name: Annotated[Name, Field(description="The tier.")]
    revision: Annotated[Name, Field(description="The engine revision it should run.")]
    desired: Annotated[int, Field(ge=0, description="Engines it should have.")]
    serving: Annotated[int, Field(ge=0, description="Engines that serve, of any revision.")]
    updated: Annotated[int, Field(ge=0, description="Engines of the wanted revision that serve.")]
    engines: Annotated[tuple[EngineStatus, ...], Field(max_length=512, description="Its engines.")] = ()
    sizing: Annotated[Sizing | None, Field(description="The engine derived from the tier spec.")] = None


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
    mode: Annotated[str, Field(max_length=32, description="Normal; fallback modes follow.")] = "Normal"
    engines: Annotated[str, Field(max_length=32, description="Serving engines of the wanted ones, as in 3/4.")] = "0/0"
    conditions: Annotated[
        tuple[Condition, ...],
        Field(
            max_length=16,
            description="Accepted, Programmed, Ready, Reconciling, Stalled, UpdateAvailable.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = ()
    tiers: Annotated[
        tuple[TierStatus, ...],
        Field(max_length=8, description="The tiers.", json_schema_extra={"x-kubernetes-list-type": "atomic"}),
    ] = ()
    routing: Annotated[RoutingStatus | None, Field(description="The request path.")] = None
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
