"""What the user fixed of an engine: everything else is worked out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from heterollm_controllers.api.errors import Impossible
from heterollm_controllers.api.v1alpha1.engine import EngineSpec
from heterollm_controllers.api.vocabulary import Reason
from heterollm_controllers.sglang.flags.arguments import Arguments
from heterollm_controllers.sizing.dtypes import check_kv_dtype
from heterollm_controllers.sizing.plan import MOST_NODES, USUAL, Workload

__all__ = ["Objective", "Requirements", "requirements_of"]

Objective = Literal["throughput", "latency", "cost"]


@dataclass(frozen=True)
class Requirements:
    """Requirements for one engine; None is "work it out".

    Attributes:
        objective: throughput: most requests per GPU, and so the least $ per request of a busy engine;
            latency: the quickest answer to a lone request; cost: the fewest GPUs that hold the model.
        per_node: GPUs of one node.
        memory_fraction: share of the free GPU memory for weights and KV cache.
        chunked_prefill: tokens; -1 turns chunking off.
        kv_dtype: SGLang's name; auto is the model's own.
        dtype, quantization: of the weights, by SGLang's names.
        max_total_tokens: user's limit of KV tokens per attention DP rank.
        free_gib: memory of one GPU that is free before loading, where it was measured; else derived.
    """

    objective: Objective = "throughput"
    per_node: int = 8
    gpus: int | None = None
    nodes: int | None = None
    tensor: int | None = None
    attention_dp: int | None = None
    expert: int | None = None
    pipeline: int | None = None
    a2a: str = "none"
    moe_dense: int | None = None
    dp_head: bool = False
    memory_fraction: float | None = None
    chunked_prefill: int | None = None
    decode_batch: int | None = None
    prefill_batch: int | None = None
    decode_graph: bool = True
    prefill_graph: bool = True
    max_running: int | None = None
    max_total_tokens: int | None = None
    page_size: int | None = None
    images: bool | None = None
    kv_dtype: str = "auto"
    dtype: str | None = None
    quantization: str | None = None
    context: int | None = None
    workload: Workload = USUAL
    free_gib: float | None = None


_MOST = 2**31 - 1
"""Of any whole number: what is larger is none of tokens, requests or GPUs, and does not fit into a status."""
_LEAST_FRACTION = 0.001
"""Of a GPU's memory: with less, not even its buffers fit."""

_WHOLE = {
    "--tp-size": "tensor",
    "--ep-size": "expert",
    "--pp-size": "pipeline",
    "--moe-dense-tp-size": "moe_dense",
    "--chunked-prefill-size": "chunked_prefill",
    "--cuda-graph-max-bs-decode": "decode_batch",
    "--cuda-graph-max-bs-prefill": "prefill_batch",
    "--max-running-requests": "max_running",
    "--max-total-tokens": "max_total_tokens",
    "--page-size": "page_size",
    "--context-length": "context",
}
"""Flags that fix a whole number, and the wish that they are."""

_SPELLED = {
    "attention_dp": "attentionDataParallel",
    "expert": "expertParallel",
    "context": "contextLength",
    "memory_fraction": "memFractionStatic",
}
"""Requirements that are fields of the spec too."""

_GRAPHS_OFF = {
    "decode_graph": ("--disable-cuda-graph", "--disable-decode-cuda-graph", "--cuda-graph-backend-decode"),
    "prefill_graph": ("--disable-cuda-graph", "--disable-prefill-cuda-graph", "--cuda-graph-backend-prefill"),
}


def requirements_of(engine: EngineSpec, per_node: int, flags: Arguments) -> tuple[Requirements, tuple[str, ...]]:
    """What an engine's fields and its checked flags fix, and a warning for every field that a flag replaces.

    Raises:
        Impossible: parallel sizes that do not make up the engine's GPUs, or copies of the model inside one server.
    """
    fields: dict[str, Any] = {
        "gpus": engine.gpus,
        "nodes": engine.nodes,
        "attention_dp": engine.attention_data_parallel,
        "expert": engine.expert_parallel,
        "context": engine.context_length,
        "memory_fraction": engine.mem_fraction_static,
    }
    wholes = {flag: flags.integer(flag) for flag in _WHOLE}
    _check_wholes(wholes | {"--attn-dp-size": flags.attention_data_parallel, "--dp-size": flags.integer("--dp-size")})
    given: dict[str, tuple[str, float | None]] = {wish: (flag, wholes[flag]) for flag, wish in _WHOLE.items()}
    given["attention_dp"] = ("--attn-dp-size", flags.attention_data_parallel)
    given["memory_fraction"] = ("--mem-fraction-static", flags.number("--mem-fraction-static"))
    replaced = [
        f"{flag} {value:g} of engine.args replaces engine.{_SPELLED[wish]} {fields[wish]:g}"
        for wish, (flag, value) in given.items()
        if fields.get(wish) is not None and value is not None and fields[wish] != value
    ]
    shape = engine.workload
    requirements = Requirements(
        objective=engine.objective,
        per_node=per_node,
        a2a=flags.text("--moe-a2a-backend") or "none",
        kv_dtype=flags.text("--kv-cache-dtype") or "auto",
        images=_switch(flags.values.get("--enable-multimodal")),
        dp_head=flags.values.get("--enable-dp-lm-head") is True,
        dtype=flags.text("--dtype"),
        quantization=flags.text("--quantization"),
        workload=Workload(shape.input_tokens, shape.output_tokens) if shape else USUAL,
        **fields | {wish: value for wish, (_, value) in given.items() if value is not None},
        **{wish: not any(_off(flags, flag) for flag in off) for wish, off in _GRAPHS_OFF.items()},
    )
    check_kv_dtype(requirements.kv_dtype)
    _check_sizes(requirements, flags)
    return requirements, tuple(replaced)


def _check_wholes(given: Mapping[str, int | None]) -> None:
    """That whole numbers are some that their flags can mean, before anything is reckoned with them."""
    for flag, value in given.items():
        if value is None:
            continue
        if value > _MOST:
            raise Impossible(Reason.INVALID_FLAGS, f"{flag} is more than {_MOST}")
        if value < 1 and not (flag == "--chunked-prefill-size" and value == -1):
            said = f"{flag} {value}" if value > -_MOST else flag
            raise Impossible(Reason.INVALID_FLAGS, f"{said} is less than 1")


def _check_sizes(requirements: Requirements, flags: Arguments) -> None:
    """That stated parallel sizes make up the stated GPUs."""
    stages, fraction = requirements.pipeline or 1, requirements.memory_fraction
    if fraction is not None and not _LEAST_FRACTION <= fraction < 1:
        raise Impossible(Reason.INVALID_FLAGS, f"--mem-fraction-static {fraction:g} is not between 0 and 1")
    if (flags.integer("--dp-size") or 1) > 1 and flags.values.get("--enable-dp-attention") is not True:
        raise Impossible(
            Reason.INVALID_FLAGS,
            "--dp-size makes copies of the model inside one server: set replicas instead, and routing, scaling and"
            " roll-outs see each copy",
        )
    if (requirements.tensor or 1) * stages > MOST_NODES * requirements.per_node:
        raise Impossible(
            Reason.ENGINE_LARGER_THAN_NODES,
            f"--tp-size {requirements.tensor or 1} on {stages} pipeline stage(s) are more than the"
            f" {MOST_NODES * requirements.per_node} GPUs that an engine may have:"
            f" {MOST_NODES} nodes of {requirements.per_node}",
        )
    if requirements.gpus is None:
        return
    if requirements.tensor is not None and requirements.tensor * stages != requirements.gpus:
        raise Impossible(
            Reason.INVALID_PARALLELISM,
            f"engine.gpus is {requirements.gpus}, but --tp-size {requirements.tensor} on {stages} pipeline stage(s)"
            f" uses {requirements.tensor * stages}; leave one of them out",
        )
    if requirements.gpus % stages:
        raise Impossible(
            Reason.INVALID_PARALLELISM,
            f"{requirements.gpus} GPUs do not divide over {stages} pipeline stages ({requirements.gpus / stages:.2f})",
        )


def _switch(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _off(flags: Arguments, flag: str) -> bool:
    return flags.values.get(flag) in (True, "disabled")
