"""The sizing of a tier as status reports it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from heterollm_controllers.api.decimals import DecimalNumber
from heterollm_controllers.api.schema import Figure, WireType

__all__ = ["Alternative", "GpuMemory", "Performance", "Sizing"]


class GpuMemory(WireType):
    """MemoryQuantity of the fullest GPU of an engine, in GiB (2^30 bytes) as decimals."""

    total_gib: Annotated[Figure, Field(alias="totalGiB", description="Memory as the driver reports it.")]
    free_gib: Annotated[Figure, Field(alias="freeGiB", description="Free before the model is loaded.")]
    attention_gib: Annotated[Figure, Field(alias="attentionGiB", description="Weights of attention and norms.")]
    mlp_gib: Annotated[Figure, Field(alias="mlpGiB", description="Weights of dense MLPs, shared experts, routers.")]
    experts_gib: Annotated[Figure, Field(alias="expertsGiB", description="Weights of routed experts.")]
    embeddings_gib: Annotated[Figure, Field(alias="embeddingsGiB", description="Embedding and output head.")]
    vision_gib: Annotated[Figure, Field(alias="visionGiB", description="Weights of the vision part.")] = DecimalNumber(
        "0.00"
    )
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
    """Speed and cost of one engine for requests of the stated workload. Decimals are text on the wire."""

    source: Annotated[Literal["estimated", "measured"], Field(description="Where the figures come from.")]
    input_tokens: Annotated[int, Field(ge=1, description="Prompt tokens of the requests meant.")]
    output_tokens: Annotated[int, Field(ge=1, description="Output tokens of the requests meant.")]
    time_to_first_token_ms: Annotated[Figure, Field(description="Of a lone request, in milliseconds.")]
    time_per_token_ms: Annotated[Figure, Field(description="Per further token of a lone request, in milliseconds.")]
    concurrent_requests: Annotated[int, Field(ge=0, description="Requests in flight in a full engine.")]
    time_per_token_full_ms: Annotated[Figure, Field(description="Per further token in a full engine.")]
    requests_per_second: Annotated[Figure, Field(description="Of a full engine.")]
    cost_per_1000_requests: Annotated[
        Figure | None,
        Field(alias="costPer1000Requests", description="Dollars, of a full engine; absent where no price is known."),
    ] = None
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
    cost_per_1000_requests: Annotated[
        Figure | None,
        Field(alias="costPer1000Requests", description="Dollars, estimated; absent where no price is known."),
    ] = None


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
