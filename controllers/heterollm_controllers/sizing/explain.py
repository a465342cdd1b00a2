"""Why a plan's values are what they are: one short reason per value, "user" where the user set it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from heterollm_controllers.sizing.accelerators import Gpu
from heterollm_controllers.sizing.architecture import Architecture
from heterollm_controllers.sizing.memory import GIB
from heterollm_controllers.sizing.plan import Plan
from heterollm_controllers.sizing.requirements import Requirements
from heterollm_controllers.sizing.rules import A2A_SPANS_ALL, broken

__all__ = ["reasons"]

_LONGEST = 256

_BEST = {
    "throughput": "most requests/s per GPU",
    "latency": "quickest answer to a lone request",
    "cost": "fewest GPUs that hold the model",
}


def reasons(
    model: Architecture,
    gpu: Gpu,
    requirements: Requirements,
    plans: Sequence[Plan],
    smaller: Callable[[int], Plan | None],
) -> dict[str, str]:
    """Reasons of the values of the first plan, by their names in status.

    Args:
        plans: all that fit, best first.
        smaller: the nearest plan on that many GPUs, fitting or not; None when no split works there.
    """
    plan = plans[0]
    user = _by_user(requirements)
    derived = {
        "gpusPerEngine": _gpus(plan, requirements, plans, smaller),
        "nodes": f"{plan.split.gpus} GPUs on nodes of {requirements.per_node}",
        "tensorParallel": f"all {plan.split.tensor} GPUs of the engine" + (" stage" if plan.split.pipeline > 1 else ""),
        "attentionDataParallel": _attention_dp(model, plan, plans),
        "expertParallel": _expert(model, gpu, requirements, plan),
        "pipelineParallel": "one stage: stages add latency and turn prefill graphs and overlap off",
        "memFractionStatic": _fraction(gpu, plan),
        "chunkedPrefillTokens": _chunk(gpu, plan),
        "decodeBatch": f"SGLang's default at {gpu.memory_mib / 1024:.0f} GiB and TP {plan.split.tensor}",
        "maxRunningRequests": "SGLang's limit: 2,048 to 4,096 per attention DP rank, and two tokens each",
        "kvCacheDtype": "the model's own type",
        "contextLength": "the model's own limit",
    }
    return {name: ("user" if name in user else why)[:_LONGEST] for name, why in derived.items()}


def _by_user(requirements: Requirements) -> set[str]:
    fields = {
        "gpusPerEngine": requirements.gpus,
        "nodes": requirements.nodes,
        "tensorParallel": requirements.tensor,
        "attentionDataParallel": requirements.attention_dp,
        "expertParallel": None if requirements.a2a in A2A_SPANS_ALL else requirements.expert,
        "pipelineParallel": requirements.pipeline,
        "memFractionStatic": requirements.memory_fraction,
        "chunkedPrefillTokens": requirements.chunked_prefill,
        "decodeBatch": requirements.decode_batch,
        "maxRunningRequests": requirements.max_running,
        "kvCacheDtype": None if requirements.kv_dtype == "auto" else requirements.kv_dtype,
        "contextLength": requirements.context,
    }
    return {name for name, value in fields.items() if value is not None}


def _gpus(plan: Plan, requirements: Requirements, plans: Sequence[Plan], smaller: Callable[[int], Plan | None]) -> str:
    best = f"{requirements.objective}: {_BEST[requirements.objective]} of {len(plans)} ways that fit"
    if plan.split.gpus == 1:
        return best
    fewest = min(other.split.gpus for other in plans)
    if plan.split.gpus > fewest:
        return f"{best}; {fewest} would also hold it"
    less = smaller(plan.split.gpus // 2)
    if less is None:
        return f"{best}; {plan.split.gpus // 2} cannot split the model"
    left = (less.memory.usable - less.memory.weights.total) / GIB
    gpus = "one GPU" if less.split.gpus == 1 else f"{less.split.gpus} GPUs"
    verb = f"would leave {left:.1f} GiB per GPU for KV" if left >= 0 else f"lack {-left:.1f} GiB each for the weights"
    return f"{best}; {gpus} {verb}"


def _attention_dp(model: Architecture, plan: Plan, plans: Sequence[Plan]) -> str:
    ways = plan.split.attention_dp
    if not model.attention_dp:
        return f"SGLang's {model.name} has none"
    rivals = [other for other in plans if other.split.gpus == plan.split.gpus and other.split.attention_dp != ways]
    if not rivals:
        return "the only one that fits" if ways > 1 else "attention is not replicated"
    rival = max(rivals, key=lambda other: other.estimate.requests_per_second)
    return (
        f"{plan.kv_tokens:,} KV tokens and {plan.estimate.requests_per_second:.1f} requests/s, against"
        f" {rival.kv_tokens:,} and {rival.estimate.requests_per_second:.1f} with {rival.split.attention_dp}"
    )


def _expert(model: Architecture, gpu: Gpu, requirements: Requirements, plan: Plan) -> str:
    if model.experts is None:
        return "the model has no experts"
    if requirements.a2a in A2A_SPANS_ALL:
        return f"the {requirements.a2a} backend spreads the experts over all {plan.split.tensor} GPUs"
    if plan.split.expert == 1:
        return "experts are cut by tensor parallelism"
    split = plan.split
    why = broken(model, gpu, replace(split, expert=1), plan.nodes)
    return f"without it: {why}" if why else f"whole experts on each GPU: {model.experts.count} over {split.expert}"


def _fraction(gpu: Gpu, plan: Plan) -> str:
    kept = gpu.memory_mib / 1024 * (1 - plan.memory.fraction)
    return f"SGLang's own choice: keeps {kept:.1f} GiB per GPU for activations, CUDA graphs and communication"


def _chunk(gpu: Gpu, plan: Plan) -> str:
    shared = f", divided by attention DP {plan.split.attention_dp}" if plan.split.attention_dp > 1 else ""
    return f"SGLang's default for a GPU of {gpu.memory_mib / 1024:.0f} GiB{shared}"
