"""Sizing as text for people: what `heterollm size` prints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from heterollm_controllers.api.decimals import DecimalNumber
from heterollm_controllers.api.v1alpha1.sizing import Alternative, GpuMemory, Performance, Sizing
from heterollm_controllers.api.v1alpha1.tier import Tier

__all__ = ["amount", "columns", "tier_table"]

_VALUES = (
    ("gpusPerEngine", "GPUs per engine", "gpus_per_engine"),
    ("nodes", "nodes", "nodes"),
    ("tensorParallel", "tensor parallel", "tensor_parallel"),
    ("attentionDataParallel", "attention data parallel", "attention_data_parallel"),
    ("expertParallel", "expert parallel", "expert_parallel"),
    ("pipelineParallel", "pipeline parallel", "pipeline_parallel"),
    ("memFractionStatic", "memory fraction", "mem_fraction_static"),
    ("chunkedPrefillTokens", "prefill chunk, tokens", "chunked_prefill_tokens"),
    ("decodeBatch", "decode batch", "decode_batch"),
    ("maxRunningRequests", "running requests, most", "max_running_requests"),
    ("kvCacheDtype", "KV cache type", "kv_cache_dtype"),
    ("contextLength", "context, tokens", "context_length"),
)


def tier_table(tier: Tier, sizing: Sizing) -> str:
    """One tier: its engine, every value with its reason, memory, speed, alternatives and warnings."""
    rows = [
        (title, _shown(getattr(sizing, field)), sizing.reasons.get(name, ""))
        for name, title, field in _VALUES
        if getattr(sizing, field) is not None
    ]
    parts = [f"tier {tier.name}: {tier.model.id} on {tier.accelerator.type}", f"  {sizing.summary}", ""]
    parts += _indented(columns([("value", "", "why"), *rows]))
    if sizing.memory is not None:
        parts += ["", *_indented(_memory(sizing.memory, sizing))]
    if sizing.performance is not None:
        parts += ["", *_indented(_performance(sizing.performance))]
    if sizing.alternatives:
        parts += ["", "  next best:", *_indented(_alternatives(sizing.alternatives))]
    parts += [f"  warning: {warning}" for warning in sizing.warnings]
    return "\n".join(line.rstrip() for line in parts)


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines with aligned columns."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def _shown(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _memory(memory: GpuMemory, sizing: Sizing) -> list[str]:
    parts = (
        ("attention", memory.attention_gib),
        ("MLP", memory.mlp_gib),
        ("experts", memory.experts_gib),
        ("embeddings", memory.embeddings_gib),
        ("vision", memory.vision_gib),
        ("buffers", memory.buffers_gib),
        ("KV cache", memory.kv_cache_gib),
        ("reserved", memory.reserved_gib),
    )
    shown = ", ".join(f"{name} {size.text}" for name, size in parts if size >= 0.005)
    lines = [
        f"memory of one GPU, GiB: {memory.total_gib.text}, of which {memory.free_gib.text} free before loading",
        f"{memory.bar}  # weights  = KV cache  . reserved",
        shown,
    ]
    if sizing.kv_cache_tokens is not None and sizing.context_length is not None:
        lines.append(
            f"KV cache of the engine: {sizing.kv_cache_tokens:,} tokens, {sizing.concurrent_requests:,} requests of"
            f" {sizing.context_length:,} tokens at once"
        )
    if sizing.host_memory_gib is not None:
        lines.append(f"host memory per pod: {sizing.host_memory_gib} GiB, and {sizing.shared_memory} of /dev/shm")
    return lines


def _performance(speed: Performance) -> list[str]:
    return [
        f"{speed.source}, for {speed.input_tokens:,} tokens in and {speed.output_tokens:,} out:",
        f"  first token {speed.time_to_first_token_ms.text} ms, then {speed.time_per_token_ms.text} ms per token when"
        " alone",
        f"  {speed.requests_per_second.text} requests/s when full ({speed.concurrent_requests:,} at once,"
        f" {speed.time_per_token_full_ms.text} ms per token), {_cost(speed.cost_per_1000_requests)}",
        f"  ({speed.assumptions})",
    ]


def _cost(dollars: DecimalNumber | None) -> str:
    return "no price is known" if dollars is None else f"${dollars.text} per 1,000 requests"


def amount(dollars: DecimalNumber | None) -> str:
    """In a column of a table."""
    return "unknown" if dollars is None else dollars.text


def _alternatives(others: Sequence[Alternative]) -> list[str]:
    head = ("GPUs", "TP", "attn DP", "EP", "KV tokens", "first token, ms", "requests/s", "$ per 1,000")
    rows = [
        (
            str(other.gpus_per_engine),
            str(other.tensor_parallel),
            str(other.attention_data_parallel),
            str(other.expert_parallel),
            f"{other.kv_cache_tokens:,}",
            other.time_to_first_token_ms.text,
            other.requests_per_second.text,
            amount(other.cost_per_1000_requests),
        )
        for other in others
    ]
    return columns([head, *rows])
