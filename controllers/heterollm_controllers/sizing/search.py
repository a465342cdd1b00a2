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
from heterollm_controllers.sizing.requirements import Wishes
from heterollm_controllers.sizing.rules import A2A_SPANS_ALL, broken
from heterollm_controllers.sizing.weights import weights

__all__ = ["nearest", "plan_for", "search", "searched"]

MOST_NODES_SEARCHED = 8
"""Nodes of the largest engine that the search proposes by itself."""

_WORTH_MORE_GPUS = {"throughput": 0.05, "latency": 0.10, "cost": 0.0}
"""A larger engine must be better by this share: it costs more at once, and fails as a whole."""


def search(model: Architecture, gpu: Gpu, wishes: Wishes) -> tuple[Plan, ...]:
    """Every plan that runs and fits, best first.

    Raises:
        Impossible: nothing runs, or nothing fits; the message says what is nearest to fitting.
    """
    found = searched(model, gpu, wishes)
    if isinstance(found, Impossible):
        raise Impossible(found.reason, found.message)
    return found


@lru_cache(maxsize=64)
def searched(model: Architecture, gpu: Gpu, wishes: Wishes) -> tuple[Plan, ...] | Impossible:
    """What `search` gives or raises. Few are remembered: a search holds a hundred plans, and its result is kept."""
    refused: list[tuple[Split, str]] = []
    plans: list[Plan] = []
    for gpus in _gpu_counts(wishes):
        nodes = wishes.nodes or -(-gpus // wishes.per_node)
        for split in _splits(model, wishes, gpus):
            why = broken(model, gpu, split, nodes)
            if why:
                refused.append((split, why))
            else:
                plans.append(plan_for(model, gpu, wishes, split, nodes))
    fitting = [plan for plan in plans if plan.memory.tokens >= _least_tokens(wishes)]
    if not fitting:
        return _impossible(model, gpu, wishes, plans, refused)
    return tuple(_ranked(fitting, wishes))


def plan_for(model: Architecture, gpu: Gpu, wishes: Wishes, split: Split, nodes: int) -> Plan:
    """One split, worked out; it may hold no tokens."""
    chunk = wishes.chunked_prefill or default_chunked_prefill(gpu.memory_mib)
    batch = wishes.decode_batch or default_decode_batch(gpu.memory_mib, split.tensor)
    if wishes.decode_batch is None and wishes.max_running:
        batch = min(batch, wishes.max_running)
    images = model.vision is not None and (model.vision.by_default if wishes.images is None else wishes.images)
    kept = reserve(
        model,
        split,
        gpu.memory_mib,
        chunk,
        batch,
        decode_graph=wishes.decode_graph,
        prefill_graph=wishes.prefill_graph and not images,
        prefill_batch=_prefill_batch(wishes, chunk),
    )
    automatic = automatic_fraction(model, gpu, kept, images)
    fraction = wishes.memory_fraction or automatic
    free = int(wishes.free_gib * GIB) if wishes.free_gib else free_before_load(gpu.memory_mib, split, nodes)
    cell = cell_bytes(model, split, kv_bytes(wishes.kv_dtype, model))
    used = memory(
        free,
        gpu.memory_mib * MIB,
        fraction,
        weights(model, gpu, split),
        cell,
        wishes.page_size or gpu.page_size,
        wishes.max_total_tokens,
    )
    context = wishes.context or model.context
    running = max_running(used.tokens, context, split.attention_dp, wishes.max_running)
    tokens = used.tokens * split.attention_dp
    full = min(running, tokens // wishes.workload.tokens)
    speed = estimate(model, gpu, split, nodes, used, full, wishes.workload, active_parameters(model))
    return Plan(
        split=split,
        nodes=nodes,
        chunked_prefill=chunk // split.attention_dp if chunk > 0 else chunk,
        decode_batch=batch,
        context=context,
        kv_dtype=wishes.kv_dtype,
        max_running=running,
        memory=used,
        automatic_fraction=automatic,
        kv_tokens=tokens,
        estimate=speed,
    )


def _prefill_batch(wishes: Wishes, chunk: int) -> int:
    """Tokens of the largest prefill step that SGLang captures a graph for."""
    largest = wishes.prefill_batch or chunk
    return min(largest, wishes.max_total_tokens) if wishes.max_total_tokens and not wishes.prefill_batch else largest


def nearest(model: Architecture, gpu: Gpu, wishes: Wishes, gpus: int) -> Plan | None:
    """The plan on so many GPUs that leaves most memory, fitting or not; None when no split works there."""
    free = replace(wishes, gpus=gpus, nodes=None, tensor=None, attention_dp=None, expert=None)
    nodes = -(-gpus // wishes.per_node)
    plans = [
        plan_for(model, gpu, free, split, nodes)
        for split in _splits(model, free, gpus)
        if not broken(model, gpu, split, nodes)
    ]
    return max(plans, key=_left_for_cache, default=None)


def _left_for_cache(plan: Plan) -> int:
    """Bytes that the weights leave of what is there for both; negative when they do not fit."""
    return plan.memory.usable - plan.memory.weights.total


def _gpu_counts(wishes: Wishes) -> list[int]:
    """Sizes of an engine to look at, in GPUs: what is fixed, else parts of a node, then whole nodes by doubling."""
    if wishes.gpus or wishes.tensor:
        return [wishes.gpus or (wishes.tensor or 1) * (wishes.pipeline or 1)]
    parts = [count for count in range(1, wishes.per_node + 1) if wishes.per_node % count == 0]
    if wishes.nodes:
        return [count * wishes.nodes for count in parts]
    several = [2**power for power in range(1, MOST_NODES_SEARCHED.bit_length())]
    return parts + [wishes.per_node * nodes for nodes in several]


def _splits(model: Architecture, wishes: Wishes, gpus: int) -> Iterator[Split]:
    """Ways to split an engine of so many GPUs, simplest first; those that cannot work are for `broken` to refuse."""
    pipeline = wishes.pipeline or 1
    tensor = wishes.tensor or max(1, gpus // pipeline)
    divisors = [count for count in range(1, tensor + 1) if tensor % count == 0]
    attention = [wishes.attention_dp] if wishes.attention_dp else divisors if model.attention_dp else [1]
    experts = [wishes.expert] if wishes.expert else divisors if model.experts else [1]
    if wishes.a2a in A2A_SPANS_ALL:
        experts = [tensor]
    for attention_dp in attention:
        for expert in experts:
            yield Split(tensor, attention_dp, expert, pipeline, wishes.a2a, wishes.moe_dense, wishes.dp_head)


def _least_tokens(wishes: Wishes) -> int:
    """KV tokens that each attention DP rank must hold: one longest request if that was stated, else a usual one."""
    return wishes.context or wishes.workload.tokens


def _ranked(plans: list[Plan], wishes: Wishes) -> list[Plan]:
    """Best first. A plan on more GPUs must be clearly better than one on fewer."""
    worth = {id(plan): _worth(plan, wishes) for plan in plans}
    best = max(worth.values())
    enough = best * (1 - _WORTH_MORE_GPUS[wishes.objective])
    good = [plan for plan in plans if worth[id(plan)] >= enough]
    fewest = min(plan.split.gpus for plan in good)

    def order(plan: Plan) -> tuple[bool, float, int]:
        chosen = worth[id(plan)] >= enough and plan.split.gpus == fewest
        return not chosen, -worth[id(plan)], -plan.kv_tokens

    return sorted(plans, key=order)


def _worth(plan: Plan, wishes: Wishes) -> float:
    speed = plan.estimate
    per_gpu = speed.requests_per_second / plan.split.gpus
    if wishes.objective == "latency":
        return 1 / (speed.first_token + wishes.workload.output_tokens * speed.per_token)
    if wishes.objective == "cost":
        return 1 / plan.split.gpus + per_gpu * 1e-9
    return per_gpu


def _impossible(
    model: Architecture, gpu: Gpu, wishes: Wishes, plans: list[Plan], refused: list[tuple[Split, str]]
) -> Impossible:
    if not plans:
        split, why = refused[0]
        others = "" if len(refused) == 1 else f" (nor any of {len(refused) - 1} other ways)"
        return Impossible(Reason.INVALID_PARALLELISM, f"{model.model} cannot run at {split}: {why}{others}")
    closest = max(plans, key=_left_for_cache)
    return Impossible(Reason.DOES_NOT_FIT, _does_not_fit(model, gpu, wishes, closest))


def _does_not_fit(model: Architecture, gpu: Gpu, wishes: Wishes, plan: Plan) -> str:
    used = plan.memory
    said = "" if wishes.memory_fraction is None else " as asked"
    place = f"{plan.split.gpus} x {gpu.name} ({plan.split})"
    text = (
        f"{model.model} on {place}: weights take {used.weights.total / GIB:.1f} GiB per GPU, and"
        f" {used.usable / GIB:.1f} GiB are there for weights and KV cache"
        f" ({used.fraction:g}{said} of {used.free / GIB:.1f} GiB free)"
    )
    if used.weights.total < used.usable:
        need = _least_tokens(wishes)
        text += f"; that leaves room for {used.tokens:,} tokens, and one request of {need:,} tokens must fit"
    return f"{text}. {_remedy(model, gpu, wishes)}"


def _remedy(model: Architecture, gpu: Gpu, wishes: Wishes) -> str:
    """What would fit: more GPUs if they were fixed, a larger fraction if it was."""
    if wishes.gpus or wishes.tensor or wishes.nodes:
        freed = replace(wishes, gpus=None, tensor=None, nodes=None, attention_dp=None, expert=None, objective="cost")
        larger = searched(model, gpu, freed)
        if not isinstance(larger, Impossible):
            return f"{larger[0].split.gpus} GPUs ({larger[0].split}) would do"
    if wishes.memory_fraction is not None:
        own = searched(model, gpu, replace(wishes, memory_fraction=None))
        if not isinstance(own, Impossible):
            return f"A memory fraction of {own[0].memory.fraction:g}, SGLang's own choice, would do"
    if wishes.context:
        return "Lower the context length, use larger GPUs, or a quantised model"
    return "Use larger GPUs, or a quantised model"
