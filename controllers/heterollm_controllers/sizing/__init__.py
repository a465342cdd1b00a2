"""Sizing: from a tier spec to an SGLang engine that fits, and why.

`size` is the entrance. It reads the model's shapes (catalogue or config.json), the accelerator's (catalogue or spec)
and the user's requirements (fields and SGLang flags), searches the valid ways to run the engine, and reports the best
one with the reason of every value. It estimates; it never overrides what the user fixed.
"""

from __future__ import annotations

from functools import lru_cache

from heterollm_controllers.api.errors import Impossible
from heterollm_controllers.api.v1alpha1.engine import MeasuredPerformance
from heterollm_controllers.api.v1alpha1.sizing import Sizing
from heterollm_controllers.api.v1alpha1.tier import Tier
from heterollm_controllers.api.vocabulary import Reason
from heterollm_controllers.sglang.flags.catalogue import DEFAULT_RELEASE
from heterollm_controllers.sglang.tier_arguments import arguments_of
from heterollm_controllers.sizing.accelerators import Gpu, accelerator
from heterollm_controllers.sizing.architecture import Architecture
from heterollm_controllers.sizing.dtypes import BLACKWELL_ONLY, loaded
from heterollm_controllers.sizing.explain import reasons
from heterollm_controllers.sizing.fixed_engine import check_nodes, stated
from heterollm_controllers.sizing.inputs import (
    NO_CONFIG_MAPS,
    ConfigMaps,
    gpu_of,
    gpu_price,
    not_sized,
    shapes_of,
)
from heterollm_controllers.sizing.plan import Plan
from heterollm_controllers.sizing.report import report
from heterollm_controllers.sizing.requirements import Requirements, requirements_of
from heterollm_controllers.sizing.rules import LONGER_CONTEXT, launch_refusal
from heterollm_controllers.sizing.search import nearest, searched

__all__ = ["ConfigMaps", "gpu_of", "gpu_price", "size"]


def size(tier: Tier, config_maps: ConfigMaps = NO_CONFIG_MAPS, release: str = DEFAULT_RELEASE) -> Sizing:
    """The engine of a tier.

    Args:
        config_maps: data of the ConfigMaps that a model's config may be read from, by name.
        release: SGLang release of the installation's images; the tier may name another.

    Raises:
        Impossible: flags that SGLang does not know, an unknown model or accelerator, a split that SGLang cannot run,
            an engine that does not fit.
    """
    try:
        return _size(tier, config_maps, release)
    except Impossible as refusal:
        raise Impossible(refusal.reason, f"tier {tier.name}: {refusal.message}") from None


def _size(tier: Tier, config_maps: ConfigMaps, release: str) -> Sizing:
    arguments = arguments_of(tier, release)
    requirements, replaced = requirements_of(tier.engine, tier.accelerator.per_node, arguments)
    warnings = (*arguments.warnings, *replaced)
    gpu = gpu_of(tier.accelerator)
    unsized = not_sized(arguments)
    model = shapes_of(tier, requirements, config_maps)
    if model is None or unsized:
        why = unsized or f"{tier.model.id} is not in the catalogue and has no config"
        return stated(requirements, why, (*warnings, *_unpriced(gpu)))
    if requirements.gpus or requirements.nodes:
        check_nodes(requirements)
    longer = any(variable.name == LONGER_CONTEXT for variable in tier.engine.env)
    page = requirements.page_size or gpu.page_size
    refused = launch_refusal(model, None if longer else requirements.context, requirements.chunked_prefill, page)
    if refused:
        raise Impossible(Reason.INVALID_FLAGS, refused)
    model = loaded(model, requirements.dtype, requirements.quantization)
    found = _sized(model, gpu, requirements, tier.engine.measured, str(tier.engine.shared_memory), warnings)
    if isinstance(found, Impossible):
        raise Impossible(found.reason, found.message)
    return found


@lru_cache(maxsize=4096)
def _sized(
    model: Architecture,
    gpu: Gpu,
    requirements: Requirements,
    measured: MeasuredPerformance | None,
    shared_memory: str,
    warnings: tuple[str, ...],
) -> Sizing | Impossible:
    """Cached, refusals too: an unchanged tier costs nothing."""
    plans = searched(model, gpu, requirements)
    if isinstance(plans, Impossible):
        return plans
    why = reasons(model, gpu, requirements, plans, lambda gpus: nearest(model, gpu, requirements, gpus))
    own = [*warnings, *_warnings(model, gpu, plans[0])]
    return report(model, gpu, plans, requirements.workload, measured, shared_memory, why, own)


def _unpriced(gpu: Gpu) -> list[str]:
    """Why no dollars are reported."""
    if gpu.dollars_per_hour is not None:
        return []
    return [f"no cost is reported: the price of {gpu.name} is not known; set accelerator.dollarsPerHour"]


def _warnings(model: Architecture, gpu: Gpu, plan: Plan) -> list[str]:
    said: list[str] = []
    if accelerator(gpu.name) is None:
        said.append(f"{gpu.name} is not in the catalogue: its speed is taken to be an A100-80GB's")
    said += _unpriced(gpu)
    if model.quantization and model.quantization.method == "fp8" and not gpu.fp8_tflops:
        said.append(f"{gpu.name} has no FP8 units: FP8 weights save memory but compute in BF16")
    if plan.kv_dtype in BLACKWELL_ONLY and not gpu.blackwell:
        said.append(f"--kv-cache-dtype {plan.kv_dtype} needs a GPU of NVIDIA's Blackwell generation")
    if plan.memory.fraction > plan.automatic_fraction + 0.0005:
        said.append(
            f"memory fraction {plan.memory.fraction:g} keeps less for activations and graphs than SGLang would"
            f" ({plan.automatic_fraction:g}); the engine may run out of memory under load"
        )
    if plan.nodes > 1 and plan.split.gpus // plan.nodes < gpu.per_node and plan.split.gpus <= gpu.per_node:
        said.append(
            f"{plan.split.gpus} GPUs would fit one node of {gpu.per_node}: tensor parallelism across nodes is slow"
        )
    return said
