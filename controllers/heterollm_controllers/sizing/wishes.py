"""What the user fixed of an engine: everything else is worked out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from heterollm_controllers.reasons import Reason
from heterollm_controllers.sizing.plan import USUAL, Impossible, Workload
from heterollm_controllers.v1alpha1 import Tier

__all__ = ["Flags", "Objective", "Wishes", "wishes_of"]

Objective = Literal["throughput", "latency", "cost"]
Flags = Mapping[str, str | bool | tuple[str, ...]]
"""The user's checked SGLang flags, by their main spelling."""


@dataclass(frozen=True)
class Wishes:
    """Wishes for one engine; None is "work it out".

    Attributes:
        objective: throughput: most requests per GPU, and so the least $ per request of a busy engine;
            latency: the quickest answer to a lone request; cost: the fewest GPUs that hold the model.
        per_node: GPUs of one node.
        memory_fraction: share of the free GPU memory for weights and KV cache.
        chunked_prefill: tokens; -1 turns chunking off.
        kv_dtype: SGLang's name; auto is the model's own.
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
    memory_fraction: float | None = None
    chunked_prefill: int | None = None
    decode_batch: int | None = None
    decode_graph: bool = True
    prefill_graph: bool = True
    max_running: int | None = None
    max_total_tokens: int | None = None
    page_size: int | None = None
    kv_dtype: str = "auto"
    quantization: str | None = None
    context: int | None = None
    workload: Workload = USUAL
    free_gib: float | None = None


_FIELDS = {
    "--tp-size": "tensor",
    "--attn-dp-size": "attention_dp",
    "--ep-size": "expert",
    "--pp-size": "pipeline",
    "--moe-dense-tp-size": "moe_dense",
    "--chunked-prefill-size": "chunked_prefill",
    "--cuda-graph-max-bs-decode": "decode_batch",
    "--max-running-requests": "max_running",
    "--max-total-tokens": "max_total_tokens",
    "--page-size": "page_size",
    "--context-length": "context",
}
"""Flags that fix a whole number."""

_GRAPHS_OFF = {
    "decode_graph": ("--disable-cuda-graph", "--disable-decode-cuda-graph", "--cuda-graph-backend-decode"),
    "prefill_graph": ("--disable-cuda-graph", "--disable-prefill-cuda-graph", "--cuda-graph-backend-prefill"),
}


def wishes_of(tier: Tier, flags: Flags) -> Wishes:
    """What a tier's fields and its checked flags fix. A flag is a field in another spelling: both must agree.

    Raises:
        Impossible: a field and a flag disagree.
    """
    engine = tier.engine
    given: dict[str, Any] = {
        "gpus": engine.gpus,
        "nodes": engine.nodes,
        "attention_dp": engine.attention_data_parallel,
        "expert": engine.expert_parallel,
        "context": engine.context_length,
        "memory_fraction": float(engine.mem_fraction_static) if engine.mem_fraction_static else None,
    }
    for flag, name in _FIELDS.items():
        value = _whole(flags.get(flag))
        _agree(tier, name, given.get(name), flag, value)
        given[name] = given.get(name) if value is None else value
    fraction = _decimal(flags.get("--mem-fraction-static"))
    _agree(tier, "memory_fraction", given["memory_fraction"], "--mem-fraction-static", fraction)
    given["memory_fraction"] = fraction or given["memory_fraction"]
    for name, off in _GRAPHS_OFF.items():
        given[name] = not any(flags.get(flag) in (True, "disabled") for flag in off)
    return Wishes(
        objective=engine.objective,
        per_node=tier.accelerator.per_node,
        a2a=str(flags.get("--moe-a2a-backend", "none")),
        kv_dtype=str(flags.get("--kv-cache-dtype", "auto")),
        quantization=str(flags["--quantization"]) if "--quantization" in flags else None,
        workload=_workload(tier),
        **given,
    )


def _workload(tier: Tier) -> Workload:
    shape = tier.engine.workload
    return Workload(shape.input_tokens, shape.output_tokens) if shape else USUAL


def _whole(value: object) -> int | None:
    """A flag's number; None where it is absent or a variable that the kubelet fills in."""
    try:
        return int(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _decimal(value: object) -> float | None:
    try:
        return float(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _agree(tier: Tier, name: str, field: float | None, flag: str, value: float | None) -> None:
    if field is not None and value is not None and field != value:
        spelled = {"memory_fraction": "memFractionStatic", "attention_dp": "attentionDataParallel"}
        spelled |= {"expert": "expertParallel", "context": "contextLength"}
        raise Impossible(
            Reason.INVALID_FLAGS,
            f"tier {tier.name}: engine.{spelled.get(name, name)} is {field:g}, but engine.args say {flag} {value:g};"
            f" give it once",
        )
