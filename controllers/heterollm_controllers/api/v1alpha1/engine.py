"""Overrides of what sizing derives for an engine."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from heterollm_controllers.api.schema import (
    CpuQuantity,
    Fraction,
    MemoryQuantity,
    Positive,
    Text,
    WireType,
    rules,
)

__all__ = ["EngineSpec", "EnvVar", "MeasuredPerformance", "RequestShape", "Resources"]


class EnvVar(WireType):
    """One environment variable of the engine."""

    name: Annotated[
        str,
        Field(min_length=1, max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="Variable name."),
    ]
    value: Annotated[Text, Field(description="Its value; $(NAME) stands for a variable above, $$ for one $.")] = ""


class Resources(WireType):
    """Requests and limits of a container, beside its GPUs."""

    cpu: Annotated[
        CpuQuantity | None,
        Field(description="CPU request in cores; no limit is set, as throttling only adds latency."),
    ] = None
    memory: Annotated[MemoryQuantity | None, Field(description="Memory request and limit.")] = None


class RequestShape(WireType):
    """A usual request, in tokens."""

    input_tokens: Annotated[int, Field(ge=1, le=16_777_216, description="Prompt tokens.")] = 1024
    output_tokens: Annotated[int, Field(ge=1, le=16_777_216, description="Output tokens.")] = 256


class MeasuredPerformance(WireType):
    """What a benchmark of one engine gave. Decimals are text on the wire."""

    time_to_first_token_ms: Annotated[Positive | None, Field(description="Of a lone request, in milliseconds.")] = None
    time_per_token_ms: Annotated[Positive | None, Field(description="Per further token, in milliseconds.")] = None
    requests_per_second: Annotated[Positive | None, Field(description="Of a full engine.")] = None


class EngineSpec(WireType):
    """Overrides of what sizing derives for one engine (one SGLang server, over one or several nodes)."""

    gpus: Annotated[int | None, Field(ge=1, le=4096, description="GPUs of one engine.")] = None
    nodes: Annotated[int | None, Field(ge=1, le=64, description="Nodes (pods) that one engine spans.")] = None
    objective: Annotated[
        Literal["throughput", "latency", "cost"],
        Field(
            description=(
                "What free sizes are chosen for: throughput, most requests per GPU; latency, the quickest answer to a"
                " lone request; cost, the fewest GPUs that hold the model."
            )
        ),
    ] = "throughput"
    workload: Annotated[
        RequestShape | None, Field(description="The usual request that free sizes and estimates are for.")
    ] = None
    measured: Annotated[
        MeasuredPerformance | None, Field(description="Measured figures of one engine; they replace estimates.")
    ] = None
    sglang_version: Annotated[
        str | None,
        Field(
            alias="sglangVersion",
            max_length=32,
            pattern=r"^[0-9]+\.[0-9]+\.[0-9]+([.a-z0-9]*)$",
            description="SGLang release of the image, by which args are checked; the operator's default if absent.",
        ),
    ] = None
    attention_data_parallel: Annotated[
        int | None, Field(ge=1, le=4096, description="Attention data-parallel ranks.")
    ] = None
    expert_parallel: Annotated[
        int | None, Field(ge=1, le=4096, description="Expert-parallel ranks of a MoE model.")
    ] = None
    mem_fraction_static: Annotated[
        Fraction | None,
        Field(
            description="Share of GPU memory for weights and KV cache together, a decimal; SGLang decides if absent.",
            json_schema_extra=rules(
                (
                    "self.matches('^0\\\\.[0-9]*[1-9][0-9]*$')",
                    'memFractionStatic must be above 0 and below 1, for example "0.7"',
                )
            ),
        ),
    ] = None
    context_length: Annotated[
        int | None,
        Field(ge=1, le=16_777_216, description="Longest request in tokens; the model's own limit if absent."),
    ] = None
    image: Annotated[
        str | None,
        Field(min_length=1, max_length=512, description="Engine image; the operator's default if absent."),
    ] = None
    image_pull_policy: Annotated[
        Literal["Always", "IfNotPresent", "Never"], Field(description="When the node pulls the image.")
    ] = "IfNotPresent"
    command: Annotated[
        tuple[Text, ...],
        Field(
            max_length=16,
            description="Replaces the entry point; stock SGLang images need [python3, -m, sglang.launch_server].",
        ),
    ] = ()
    args: Annotated[
        tuple[Text, ...],
        Field(
            max_length=128,
            description="SGLang server flags; a flag given here replaces the one the operator would give.",
        ),
    ] = ()
    env: Annotated[tuple[EnvVar, ...], Field(max_length=64, description="Environment of the engine.")] = ()
    resources: Annotated[Resources | None, Field(description="CPU and memory of one pod of the engine.")] = None
    shared_memory: Annotated[MemoryQuantity, Field(description="Size of the memory-backed /dev/shm of one pod.")] = (
        "16Gi"
    )
    start_seconds: Annotated[
        int,
        Field(ge=10, le=86_400, description="Longest start of an engine in seconds, model download included."),
    ] = 1800
    placement_seconds: Annotated[
        int,
        Field(
            ge=10,
            le=86_400,
            description=(
                "How long in seconds an engine over several nodes may hold some of them while it finds no place for"
                " the rest; then it releases its GPUs and tries again later."
            ),
        ),
    ] = 300
    drain_seconds: Annotated[
        int,
        Field(
            ge=1,
            le=86_400,
            description="Longest time in seconds that running requests get when an engine leaves.",
        ),
    ] = 300
