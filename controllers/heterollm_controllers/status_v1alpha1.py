"""The status types of serving.heterollm.io/v1alpha1: what the operator reports, and its journal of decisions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from heterollm_controllers.reasons import ConditionType
from heterollm_controllers.wire import WireType

__all__ = [
    "Alternative",
    "Condition",
    "Decision",
    "EngineStatus",
    "EscalationStatus",
    "FallbackStatus",
    "ForecastStatus",
    "GpuMemory",
    "HeteroLLMClusterStatus",
    "Performance",
    "PlacementStatus",
    "RoutingStatus",
    "ScalingStatus",
    "Sizing",
    "TierStatus",
]

Time = Annotated[str, Field(max_length=64, json_schema_extra={"format": "date-time"})]
Name = Annotated[str, Field(max_length=253)]
Figure = Annotated[str, Field(max_length=24)]
"""A decimal."""


class Condition(WireType):
    """A Kubernetes condition."""

    type: Annotated[str, Field(max_length=64, description="What is stated.")]
    status: Annotated[Literal["True", "False", "Unknown"], Field(description="Whether it holds.")]
    reason: Annotated[str, Field(max_length=128, description="Why, as one word of the vocabulary in reasons.py.")]
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
        Literal["Pending", "Unschedulable", "Waiting", "Starting", "Serving", "Standby", "Restarting", "Draining"],
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


class GpuMemory(WireType):
    """Memory of the fullest GPU of an engine, in GiB (2^30 bytes) as decimals."""

    total_gib: Annotated[Figure, Field(alias="totalGiB", description="Memory as the driver reports it.")]
    free_gib: Annotated[Figure, Field(alias="freeGiB", description="Free before the model is loaded.")]
    attention_gib: Annotated[Figure, Field(alias="attentionGiB", description="Weights of attention and norms.")]
    mlp_gib: Annotated[Figure, Field(alias="mlpGiB", description="Weights of dense MLPs, shared experts, routers.")]
    experts_gib: Annotated[Figure, Field(alias="expertsGiB", description="Weights of routed experts.")]
    embeddings_gib: Annotated[Figure, Field(alias="embeddingsGiB", description="Embedding and output head.")]
    vision_gib: Annotated[Figure, Field(alias="visionGiB", description="Weights of the vision part.")] = "0.00"
    buffers_gib: Annotated[Figure, Field(alias="buffersGiB", description="Rotary tables, copies made at load time.")]
    kv_cache_gib: Annotated[Figure, Field(alias="kvCacheGiB", description="KV cache pool.")]
    reserved_gib: Annotated[
        Figure, Field(alias="reservedGiB", description="Kept for activations, CUDA graphs and communication buffers.")
    ]
    headroom_gib: Annotated[
        Figure,
        Field(
            alias="headroomGiB",
            description="How much more is reserved than SGLang would by itself; negative: less, which risks failing.",
        ),
    ]
    bar: Annotated[str, Field(max_length=128, description="The same as a bar: # weights, = KV cache, . reserved.")]


class Performance(WireType):
    """Speed and cost of one engine for requests of the stated workload. Decimals are strings."""

    source: Annotated[Literal["estimated", "measured"], Field(description="Where the figures come from.")]
    input_tokens: Annotated[int, Field(ge=1, description="Prompt tokens of the requests meant.")]
    output_tokens: Annotated[int, Field(ge=1, description="Output tokens of the requests meant.")]
    time_to_first_token_ms: Annotated[Figure, Field(description="Of a lone request, in milliseconds.")]
    time_per_token_ms: Annotated[Figure, Field(description="Per further token of a lone request, in milliseconds.")]
    concurrent_requests: Annotated[int, Field(ge=0, description="Requests in flight in a full engine.")]
    time_per_token_full_ms: Annotated[Figure, Field(description="Per further token in a full engine.")]
    requests_per_second: Annotated[Figure, Field(description="Of a full engine.")]
    cost_per_1000_requests: Annotated[
        Figure, Field(alias="costPer1000Requests", description="Dollars, of a full engine.")
    ]
    assumptions: Annotated[str, Field(max_length=512, description="What the figures assume.")]


class Alternative(WireType):
    """Another way to run the engine that also fits."""

    gpus_per_engine: Annotated[int, Field(ge=1, description="GPUs of one engine.")]
    tensor_parallel: Annotated[int, Field(ge=1, description="Tensor-parallel size.")]
    attention_data_parallel: Annotated[int, Field(ge=1, description="Attention data-parallel ranks.")]
    expert_parallel: Annotated[int, Field(ge=1, description="Expert-parallel ranks.")]
    kv_cache_tokens: Annotated[int, Field(ge=0, description="KV tokens of one engine.")]
    time_to_first_token_ms: Annotated[Figure, Field(description="Of a lone request, estimated, in milliseconds.")]
    requests_per_second: Annotated[Figure, Field(description="Of a full engine, estimated.")]
    cost_per_1000_requests: Annotated[Figure, Field(alias="costPer1000Requests", description="Dollars, estimated.")]


class Sizing(WireType):
    """The engine that was derived from the tier spec, and why."""

    summary: Annotated[str, Field(max_length=512, description="The engine in one sentence.")] = ""
    gpus_per_engine: Annotated[int, Field(ge=1, description="GPUs of one engine.")]
    nodes: Annotated[int, Field(ge=1, description="Nodes (pods) of one engine.")]
    gpus_per_node: Annotated[int, Field(ge=1, description="GPUs of one pod.")]
    tensor_parallel: Annotated[int, Field(ge=1, description="Tensor-parallel size.")]
    attention_data_parallel: Annotated[int, Field(ge=1, description="Attention data-parallel ranks.")]
    expert_parallel: Annotated[int, Field(ge=1, description="Expert-parallel ranks.")]
    pipeline_parallel: Annotated[int, Field(ge=1, description="Pipeline stages.")] = 1
    moe_a2a_backend: Annotated[
        str | None, Field(max_length=32, description="Expert all-to-all backend; absent for dense models.")
    ] = None
    mem_fraction_static: Annotated[
        str | None,
        Field(max_length=6, description="Share of the free GPU memory for weights and KV cache."),
    ] = None
    chunked_prefill_tokens: Annotated[
        int | None, Field(ge=-1, description="Tokens of one prefill step of one attention DP rank; -1: not chunked.")
    ] = None
    decode_batch: Annotated[int | None, Field(ge=0, description="Largest captured decode batch.")] = None
    max_running_requests: Annotated[int | None, Field(ge=0, description="Most requests that run at once.")] = None
    kv_cache_dtype: Annotated[str | None, Field(max_length=32, description="Type of the KV cache.")] = None
    context_length: Annotated[int | None, Field(ge=0, description="Longest request in tokens.")] = None
    kv_cache_tokens: Annotated[int | None, Field(ge=0, description="Tokens that one engine's KV cache holds.")] = None
    concurrent_requests: Annotated[
        int | None, Field(ge=0, description="Requests of the whole context length that one engine holds at once.")
    ] = None
    host_memory_gib: Annotated[
        int | None,
        Field(alias="hostMemoryGiB", ge=0, description="GiB that one pod should get, beside /dev/shm."),
    ] = None
    shared_memory: Annotated[str | None, Field(max_length=32, description="/dev/shm of one pod.")] = None
    memory: Annotated[GpuMemory | None, Field(description="Memory of the fullest GPU.")] = None
    performance: Annotated[Performance | None, Field(description="Speed and cost of one engine.")] = None
    alternatives: Annotated[
        tuple[Alternative, ...], Field(max_length=3, description="The next best ways to run the engine.")
    ] = ()
    warnings: Annotated[
        tuple[Annotated[str, Field(max_length=512)], ...],
        Field(max_length=16, description="What works but deserves a look."),
    ] = ()
    reasons: Annotated[
        dict[str, Annotated[str, Field(max_length=256)]],
        Field(max_length=32, description="Why each value is what it is."),
    ]


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
        Literal["Normal", "Aggressive"],
        Field(description="Aggressive: conversations stay longer on their engine, as the tier cannot grow."),
    ] = "Normal"
    forecast: Annotated[ForecastStatus | None, Field(description="As of the last decision.")] = None


class EscalationStatus(WireType):
    """Level 2 of the fallback for one tier: its requests go to the last tier, as far as that has room."""

    tier: Annotated[Name, Field(description="The tier that failed.")]
    phase: Annotated[
        Literal["Holding", "Probing", "Ramping", "Watching"],
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
        Literal["Normal", "Escalated", "PureLarge"],
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
    routing: Annotated[RoutingStatus | None, Field(description="The request path.")] = None
    fallback: Annotated[FallbackStatus | None, Field(description="Which fallback is in force.")] = None
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
