"""The search: every valid way to run a model on an accelerator, the best first, each value with its reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from heterollm_controllers.api.errors import Impossible
from heterollm_controllers.api.vocabulary import Reason
from heterollm_controllers.sizing.accelerators import Gpu
from heterollm_controllers.sizing.architecture import Architecture
from heterollm_controllers.sizing.dtypes import kv_bytes
from heterollm_controllers.sizing.estimate import estimate
from heterollm_controllers.sizing.memory import (
    GIB,
    MIB,
    automatic_fraction,
    cell_bytes,
    default_chunked_prefill,
    default_decode_batch,
    free_before_load,
    max_running,
    memory,
    reserve,
)
from heterollm_controllers.sizing.parameters import active_parameters
from heterollm_controllers.sizing.plan import Plan, Split
from heterollm_controllers.sizing.requirements import Requirements
from heterollm_controllers.sizing.rules import A2A_SPANS_ALL, broken
from heterollm_controllers.sizing.weights import weights

__all__ = ["nearest", "plan_for", "search", "searched"]

MOST_NODES_SEARCHED = 8
"""Nodes of the largest engine that the search proposes by itself."""

_WORTH_MORE_GPUS = {"throughput": 0.05, "latency": 0.10, "cost": 0.0}
"""A larger engine must be better by this share: it costs more at once, and fails as a whole."""


def search(model: Architecture, gpu: Gpu, requirements: Requirements) -> tuple[Plan, ...]:
    """Every plan that runs and fits, best first.

    Raises:
        Impossible: nothing runs, or nothing fits; the message says what is nearest to fitting.
    """
    found = searched(model, gpu, requirements)
    if isinstance(found, Impossible):
        raise Impossible(found.reason, found.message)
    return found


@lru_cache(maxsize=64)
def searched(model: Architecture, gpu: Gpu, requirements: Requirements) -> tuple[Plan, ...] | Impossible:
    """What `search` gives or raises. Few are remembered: a search holds a hundred plans, and its result is kept."""
    refused: list[tuple[Split, str]] = []
    plans: list[Plan] = []
    for gpus in _gpu_counts(requirements):
        nodes = requirements.nodes or -(-gpus // requirements.per_node)
        for split in _splits(model, requirements, gpus):
            why = broken(model, gpu, split, nodes)
            if why:
                refused.append((split, why))
            else:
                plans.append(plan_for(model, gpu, requirements, split, nodes))
    fitting = [plan for plan in plans if plan.memory.tokens >= _least_tokens(requirements)]
    if not fitting:
        return _impossible(model, gpu, requirements, plans, refused)
    return tuple(_ranked(fitting, requirements))


def plan_for(model: Architecture, gpu: Gpu, requirements: Requirements, split: Split, nodes: int) -> Plan:
    """One split, worked out; it may hold no tokens."""
    chunk = requirements.chunked_prefill or default_chunked_prefill(gpu.memory_mib)
    batch = requirements.decode_batch or default_decode_batch(gpu.memory_mib, split.tensor)
    if requirements.decode_batch is None and requirements.max_running:
        batch = min(batch, requirements.max_running)
    images = model.vision is not None and (
        model.vision.by_default if requirements.images is None else requirements.images
    )
    kept = reserve(
        model,
        split,
        gpu.memory_mib,
        chunk,
        batch,
        decode_graph=requirements.decode_graph,
        prefill_graph=requirements.prefill_graph and not images,
        prefill_batch=_prefill_batch(requirements, chunk),
    )
    automatic = automatic_fraction(model, gpu, kept, images)
    fraction = requirements.memory_fraction or automatic
    free = int(requirements.free_gib * GIB) if requirements.free_gib else free_before_load(gpu.memory_mib, split, nodes)
    cell = cell_bytes(model, split, kv_bytes(requirements.kv_dtype, model))
    used = memory(
        free,
        gpu.memory_mib * MIB,
        fraction,
        weights(model, gpu, split),
        cell,
        requirements.page_size or gpu.page_size,
        requirements.max_total_tokens,
    )
    context = requirements.context or model.context
    running = max_running(used.tokens, context, split.attention_dp, requirements.max_running)
    tokens = used.tokens * split.attention_dp
    full = min(running, tokens // requirements.workload.tokens)
    speed = estimate(model, gpu, split, nodes, used, full, requirements.workload, active_parameters(model))
    return Plan(
        split=split,
        nodes=nodes,
        chunked_prefill=chunk // split.attention_dp if chunk > 0 else chunk,
        decode_batch=batch,
        context=context,
        kv_dtype=requirements.kv_dtype,
        max_running=running,
        memory=used,
        automatic_fraction=automatic,
        kv_tokens=tokens,
        estimate=speed,
    )


def _prefill_batch(requirements: Requirements, chunk: int) -> int:
    """Tokens of the largest prefill step that SGLang captures a graph for."""
    largest = requirements.prefill_batch or chunk
    return (
        min(largest, requirements.max_total_tokens)
        if requirements.max_total_tokens and not requirements.prefill_batch
        else largest
    )


def nearest(model: Architecture, gpu: Gpu, requirements: Requirements, gpus: int) -> Plan | None:
    """The plan on so many GPUs that leaves most memory, fitting or not; None when no split works there."""
    free = replace(requirements, gpus=gpus, nodes=None, tensor=None, attention_dp=None, expert=None)
    nodes = -(-gpus // requirements.per_node)
    plans = [
        plan_for(model, gpu, free, split, nodes)
        for split in _splits(model, free, gpus)
        if not broken(model, gpu, split, nodes)
    ]
    return max(plans, key=_left_for_cache, default=None)


def _left_for_cache(plan: Plan) -> int:
    """Bytes that the weights leave of what is there for both; negative when they do not fit."""
    return plan.memory.usable - plan.memory.weights.total


def _gpu_counts(requirements: Requirements) -> list[int]:
    """Sizes of an engine to look at, in GPUs: what is fixed, else parts of a node, then whole nodes by doubling."""
    if requirements.gpus or requirements.tensor:
        return [requirements.gpus or (requirements.tensor or 1) * (requirements.pipeline or 1)]
    parts = [count for count in range(1, requirements.per_node + 1) if requirements.per_node % count == 0]
    if requirements.nodes:
        return [count * requirements.nodes for count in parts]
    several = [2**power for power in range(1, MOST_NODES_SEARCHED.bit_length())]
    return parts + [requirements.per_node * nodes for nodes in several]


def _splits(model: Architecture, requirements: Requirements, gpus: int) -> Iterator[Split]:
    """Ways to split an engine of so many GPUs, simplest first; those that cannot work are for `broken` to refuse."""
    pipeline = requirements.pipeline or 1
    tensor = requirements.tensor or max(1, gpus // pipeline)
    divisors = [count for count in range(1, tensor + 1) if tensor % count == 0]
    attention = [requirements.attention_dp] if requirements.attention_dp else divisors if model.attention_dp else [1]
    experts = [requirements.expert] if requirements.expert else divisors if model.experts else [1]
    if requirements.a2a in A2A_SPANS_ALL:
        experts = [tensor]
    for attention_dp in attention:
        for expert in experts:
            yield Split(
                tensor, attention_dp, expert, pipeline, requirements.a2a, requirements.moe_dense, requirements.dp_head
            )


def _least_tokens(requirements: Requirements) -> int:
    """KV tokens that each attention DP rank must hold: one longest request if that was stated, else a usual one."""
    return requirements.context or requirements.workload.tokens


def _ranked(plans: list[Plan], requirements: Requirements) -> list[Plan]:
    """Best first. A plan on more GPUs must be clearly better than one on fewer."""
    worth = {id(plan): _worth(plan, requirements) for plan in plans}
    best = max(worth.values())
    enough = best * (1 - _WORTH_MORE_GPUS[requirements.objective])
    good = [plan for plan in plans if worth[id(plan)] >= enough]
    fewest = min(plan.split.gpus for plan in good)

    def order(plan: Plan) -> tuple[bool, float, int]:
        chosen = worth[id(plan)] >= enough and plan.split.gpus == fewest
        return not chosen, -worth[id(plan)], -plan.kv_tokens

    return sorted(plans, key=order)


def _worth(plan: Plan, requirements: Requirements) -> float:
    speed = plan.estimate
    per_gpu = speed.requests_per_second / plan.split.gpus
    if requirements.objective == "latency":
        return 1 / (speed.first_token + requirements.workload.output_tokens * speed.per_token)
    if requirements.objective == "cost":
        return 1 / plan.split.gpus + per_gpu * 1e-9
    return per_gpu


def _impossible(
    model: Architecture, gpu: Gpu, requirements: Requirements, plans: list[Plan], refused: list[tuple[Split, str]]
) -> Impossible:
    if not plans:
        split, why = refused[0]
        others = "" if len(refused) == 1 else f" (nor any of {len(refused) - 1} other ways)"
        return Impossible(Reason.INVALID_PARALLELISM, f"{model.model} cannot run at {split}: {why}{others}")
    closest = max(plans, key=_left_for_cache)
    return Impossible(Reason.DOES_NOT_FIT, _does_not_fit(model, gpu, requirements, closest))


def _does_not_fit(model: Architecture, gpu: Gpu, requirements: Requirements, plan: Plan) -> str:
    used = plan.memory
    said = "" if requirements.memory_fraction is None else " as asked"
    place = f"{plan.split.gpus} x {gpu.name} ({plan.split})"
    text = (
        f"{model.model} on {place}: weights take {used.weights.total / GIB:.1f} GiB per GPU, and"
        f" {used.usable / GIB:.1f} GiB are there for weights and KV cache"
        f" ({used.fraction:g}{said} of {used.free / GIB:.1f} GiB free)"
    )
    if used.weights.total < used.usable:
        need = _least_tokens(requirements)
        text += f"; that leaves room for {used.tokens:,} tokens, and one request of {need:,} tokens must fit"
    return f"{text}. {_remedy(model, gpu, requirements)}"


def _remedy(model: Architecture, gpu: Gpu, requirements: Requirements) -> str:
    """What would fit: more GPUs if they were fixed, a larger fraction if it was."""
    if requirements.gpus or requirements.tensor or requirements.nodes:
        freed = replace(
            requirements, gpus=None, tensor=None, nodes=None, attention_dp=None, expert=None, objective="cost"
        )
        larger = searched(model, gpu, freed)
        if not isinstance(larger, Impossible):
            return f"{larger[0].split.gpus} GPUs ({larger[0].split}) would do"
    if requirements.memory_fraction is not None:
        own = searched(model, gpu, replace(requirements, memory_fraction=None))
        if not isinstance(own, Impossible):
            return f"A memory fraction of {own[0].memory.fraction:g}, SGLang's own choice, would do"
    if requirements.context:
        return "Lower the context length, use larger GPUs, or a quantised model"
    return "Use larger GPUs, or a quantised model"
