"""A plan as status shows it: figures rounded for people, a bar of the GPU's memory, one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from heterollm_controllers.api.decimals import DecimalNumber
from heterollm_controllers.api.v1alpha1.engine import MeasuredPerformance
from heterollm_controllers.api.v1alpha1.sizing import Alternative, GpuMemory, Performance, Sizing
from heterollm_controllers.cost.prices import dollars_per_1000, engine_dollars_per_hour
from heterollm_controllers.sizing.accelerators import Gpu
from heterollm_controllers.sizing.architecture import Architecture
from heterollm_controllers.sizing.estimate import ASSUMPTIONS
from heterollm_controllers.sizing.memory import GIB, MIB
from heterollm_controllers.sizing.plan import Plan, Workload, fraction_text

__all__ = ["memory_bar", "report"]

_BAR = 40
_ALTERNATIVES = 3
_HOST_GIB_PER_RANK = 6
_HOST_GIB_PER_POD = 4
"""A rank on a GPU keeps 3 to 5 GiB of libraries and pinned buffers on the host; tokenizer and server 2 to 3 per pod."""


def report(
    model: Architecture,
    gpu: Gpu,
    plans: Sequence[Plan],
    workload: Workload,
    measured: MeasuredPerformance | None,
    shared_memory: str,
    reasons: Mapping[str, str],
    warnings: Sequence[str],
) -> Sizing:
    """The first plan as `status.tiers[].sizing`, the next three as its alternatives."""
    plan = plans[0]
    split = plan.split
    per_node = split.gpus // plan.nodes
    return Sizing(
        summary=_summary(gpu, plan),
        gpus_per_engine=split.gpus,
        nodes=plan.nodes,
        gpus_per_node=per_node,
        tensor_parallel=split.tensor,
        attention_data_parallel=split.attention_dp,
        expert_parallel=split.expert,
        pipeline_parallel=split.pipeline,
        moe_a2a_backend=split.a2a if model.experts else None,
        mem_fraction_static=fraction_text(plan.memory.fraction),
        chunked_prefill_tokens=plan.chunked_prefill,
        decode_batch=plan.decode_batch,
        max_running_requests=plan.max_running,
        kv_cache_dtype=plan.kv_dtype,
        context_length=plan.context,
        kv_cache_tokens=plan.kv_tokens,
        concurrent_requests=min(plan.max_running, plan.kv_tokens // plan.context),
        host_memory_gib=_HOST_GIB_PER_POD + _HOST_GIB_PER_RANK * per_node,
        shared_memory=shared_memory,
        memory=_memory(gpu, plan),
        performance=_performance(gpu, plan, workload, measured),
        alternatives=tuple(_alternative(other) for other in _others(plans)),
        warnings=tuple(warning[:512] for warning in warnings[:16]),
        reasons=dict(reasons),
    )


def _summary(gpu: Gpu, plan: Plan) -> str:
    speed = plan.estimate
    return (
        f"{plan.split.gpus} x {gpu.name} over {plan.nodes} node(s), {plan.split}: {plan.kv_tokens:,} KV tokens,"
        f" {plan.kv_tokens // plan.context:,} requests of {plan.context:,} tokens;"
        f" estimated {speed.requests_per_second:.1f} requests/s"
    )


def _memory(gpu: Gpu, plan: Plan) -> GpuMemory:
    used, held = plan.memory, plan.memory.weights
    headroom = (plan.automatic_fraction - used.fraction) * used.free
    return GpuMemory(
        total_gib=_gib(gpu.memory_mib * MIB),
        free_gib=_gib(used.free),
        attention_gib=_gib(held.attention),
        mlp_gib=_gib(held.mlp),
        experts_gib=_gib(held.experts),
        embeddings_gib=_gib(held.embeddings),
        vision_gib=_gib(held.vision),
        buffers_gib=_gib(held.buffers),
        kv_cache_gib=_gib(used.kv_cache),
        reserved_gib=_gib(used.reserved),
        headroom_gib=_gib(headroom),
        bar=memory_bar(plan),
    )


def memory_bar(plan: Plan) -> str:
    """The fullest GPU's memory, one character for a fortieth: # weights, = KV cache, . reserved or unused."""
    used = plan.memory
    weights = round(_BAR * used.weights.total / used.total)
    cache = round(_BAR * used.kv_cache / used.total)
    return f"[{'#' * weights}{'=' * cache}{'.' * (_BAR - weights - cache)}]"


def _performance(gpu: Gpu, plan: Plan, workload: Workload, measured: MeasuredPerformance | None) -> Performance:
    """The estimate, or what was measured in its place."""
    speed = plan.estimate
    first, token = _figure(speed.first_token * 1e3, 1), _figure(speed.per_token * 1e3, 2)
    rate = _figure(speed.requests_per_second, 2)
    if measured is not None:
        first = _given_or(measured.time_to_first_token_ms, first)
        token = _given_or(measured.time_per_token_ms, token)
        rate = _given_or(measured.requests_per_second, rate)
    dollars = dollars_per_1000(engine_dollars_per_hour(plan.split.gpus, gpu.dollars_per_hour), rate)
    return Performance(
        source="estimated" if measured is None else "measured",
        input_tokens=workload.input_tokens,
        output_tokens=workload.output_tokens,
        time_to_first_token_ms=first,
        time_per_token_ms=token,
        concurrent_requests=speed.concurrency,
        time_per_token_full_ms=_figure(speed.per_token_full * 1e3, 2),
        requests_per_second=rate,
        cost_per_1000_requests=_dollars(dollars),
        assumptions=ASSUMPTIONS if measured is None else "engine.measured, where given; the rest " + ASSUMPTIONS,
    )


def _others(plans: Sequence[Plan]) -> list[Plan]:
    """The next best plans that give something else than the ones before them."""
    chosen = {_given(plans[0]): plans[0]}
    for plan in plans[1:]:
        if len(chosen) <= _ALTERNATIVES:
            chosen.setdefault(_given(plan), plan)
    return list(chosen.values())[1:]


def _given(plan: Plan) -> tuple[int, int, int]:
    return plan.split.gpus, plan.split.attention_dp, plan.kv_tokens


def _alternative(plan: Plan) -> Alternative:
    split, speed = plan.split, plan.estimate
    return Alternative(
        gpus_per_engine=split.gpus,
        tensor_parallel=split.tensor,
        attention_data_parallel=split.attention_dp,
        expert_parallel=split.expert,
        kv_cache_tokens=plan.kv_tokens,
        time_to_first_token_ms=_figure(speed.first_token * 1e3, 1),
        requests_per_second=_figure(speed.requests_per_second, 2),
        cost_per_1000_requests=_dollars(speed.dollars_per_1000),
    )


def _gib(size: float) -> DecimalNumber:
    return _figure(size / GIB, 2)


def _figure(value: float, places: int) -> DecimalNumber:
    return DecimalNumber(f"{value:.{places}f}")


def _dollars(value: float | None) -> DecimalNumber | None:
    return None if value is None else _figure(value, 4)


def _given_or(given: DecimalNumber | None, estimated: DecimalNumber) -> DecimalNumber:
    return estimated if given is None else given
