"""Sizing: from a tier spec to an SGLang engine that fits, and why.

`size` is the entrance. It reads the model's shapes (catalogue or config.json), the accelerator's (catalogue or spec)
and the user's wishes (fields and SGLang flags), searches the valid ways to run the engine, and reports the best one
with the reason of every value. It estimates; it never overrides what the user fixed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType

from heterollm_controllers.flags.arguments import Arguments, check
from heterollm_controllers.flags.catalogue import DEFAULT_RELEASE, Catalogue, UnknownRelease, catalogue
from heterollm_controllers.reasons import Reason
from heterollm_controllers.sizing.accelerators import Gpu, accelerator, accelerator_names
from heterollm_controllers.sizing.architecture import Architecture, Quantization
from heterollm_controllers.sizing.explain import reasons
from heterollm_controllers.sizing.hf_config import UnreadableConfig
from heterollm_controllers.sizing.model_of import architecture_of
from heterollm_controllers.sizing.models import nearest_models
from heterollm_controllers.sizing.plan import Impossible, Plan
from heterollm_controllers.sizing.report import report
from heterollm_controllers.sizing.rules import LONGER_CONTEXT, launch_refusal
from heterollm_controllers.sizing.search import nearest, searched
from heterollm_controllers.sizing.stated import check_nodes, stated
from heterollm_controllers.sizing.wishes import Wishes, wishes_of
from heterollm_controllers.status_v1alpha1 import Sizing
from heterollm_controllers.v1alpha1 import Accelerator, MeasuredPerformance, Tier

__all__ = ["ConfigMaps", "Impossible", "arguments_of", "gpu_of", "release_of", "size"]

ConfigMaps = Mapping[str, Mapping[str, str]]
"""Data of ConfigMaps by their names."""
NO_CONFIG_MAPS: ConfigMaps = MappingProxyType({})


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
    wishes, replaced = wishes_of(tier.engine, tier.accelerator.per_node, arguments)
    warnings = (*arguments.warnings, *replaced)
    gpu = gpu_of(tier.accelerator)
    unsized = _not_sized(arguments)
    model = shapes_of(tier, wishes, config_maps)
    if model is None or unsized:
        why = unsized or f"{tier.model.id} is not in the catalogue and has no config"
        return stated(wishes, why, warnings)
    if wishes.gpus or wishes.nodes:
        check_nodes(wishes)
    longer = any(variable.name == LONGER_CONTEXT for variable in tier.engine.env)
    page = wishes.page_size or gpu.page_size
    refused = launch_refusal(model, None if longer else wishes.context, wishes.chunked_prefill, page)
    if refused:
        raise Impossible(Reason.INVALID_FLAGS, refused)
    if wishes.quantization and model.quantization is None:
        model = replace(model, quantization=Quantization(wishes.quantization, bits=8))
    found = _sized(model, gpu, wishes, tier.engine.measured, str(tier.engine.shared_memory), warnings)
    if isinstance(found, Impossible):
        raise Impossible(found.reason, found.message)
    return found


@lru_cache(maxsize=4096)
def _sized(
    model: Architecture,
    gpu: Gpu,
    wishes: Wishes,
    measured: MeasuredPerformance | None,
    shared_memory: str,
    warnings: tuple[str, ...],
) -> Sizing | Impossible:
    """Cached, refusals too: an unchanged tier costs nothing."""
    plans = searched(model, gpu, wishes)
    if isinstance(plans, Impossible):
        return plans
    why = reasons(model, gpu, wishes, plans, lambda gpus: nearest(model, gpu, wishes, gpus))
    own = [*warnings, *_warnings(model, gpu, plans[0])]
    return report(model, gpu, plans, wishes.workload, measured, shared_memory, why, own)


def release_of(tier: Tier, release: str) -> Catalogue:
    """The flags of the tier's SGLang release; `release` is the installation's.

    Raises:
        Impossible: there is no catalogue of it.
    """
    try:
        return catalogue(tier.engine.sglang_version or release)
    except UnknownRelease as error:
        raise Impossible(Reason.INVALID_FLAGS, f"engine.sglangVersion: {error}") from None


def arguments_of(tier: Tier, release: str, tensor_parallel: int | None = None) -> Arguments:
    """The tier's SGLang flags, checked against its release and written as that release spells them.

    Args:
        tensor_parallel: the engine's, once it is known: some old flags stand for it.

    Raises:
        Impossible: a flag that the release does not know, or a value that it does not take.
    """
    checked = _checked(tier.engine.args, release_of(tier, release).release, tensor_parallel)
    if checked.errors:
        raise Impossible(Reason.INVALID_FLAGS, f"engine.args: {'; '.join(checked.errors)}")
    return checked


_checked = lru_cache(maxsize=4096)(check)
"""An unchanged tier costs nothing."""


def _not_sized(arguments: Arguments) -> str:
    """Why there is no GPU memory to reckon with; empty when there is."""
    if any(arg.startswith("--sim-") for arg in arguments.args):
        return "a simulated engine loads no model"
    if arguments.values.get("--device") == "cpu":
        return "the engine runs on the CPU"
    return ""


def shapes_of(tier: Tier, wishes: Wishes, config_maps: ConfigMaps) -> Architecture | None:
    """The shapes of the tier's model; None when it is not known and the user says how many GPUs to use.

    Raises:
        Impossible: a config that cannot be read, or an unknown model without a number of GPUs.
    """
    try:
        known = architecture_of(tier.model, config_maps)
    except UnreadableConfig as error:
        raise Impossible(Reason.UNREADABLE_MODEL, str(error)) from None
    if known is None and wishes.gpus is None and wishes.nodes is None and wishes.tensor is None:
        near = ", ".join(nearest_models(tier.model.id))
        raise Impossible(
            Reason.UNKNOWN_MODEL,
            f"model {tier.model.id} is not in the catalogue{f' (near: {near})' if near else ''};"
            f" give its config.json in model.config or model.configMap, or fix engine.gpus",
        )
    return known


def gpu_of(wanted: Accelerator) -> Gpu:
    """The GPU: from the catalogue, with what the spec says in its place.

    Raises:
        Impossible: the name is not in the catalogue and the spec gives no memory.
    """
    known = accelerator(wanted.type)
    if known is None:
        known = _unlisted(wanted)
    if wanted.memory_gib is not None:
        known = replace(known, memory_mib=wanted.memory_gib * 1024)
    if wanted.dollars_per_hour is not None:
        known = replace(known, dollars_per_hour=float(wanted.dollars_per_hour))
    return known


def _unlisted(wanted: Accelerator) -> Gpu:
    """A GPU of which only the memory is known; its speed is taken to be an A100's, which the plan says."""
    like = accelerator("A100-80GB")
    if wanted.memory_gib is None or like is None:
        raise Impossible(
            Reason.UNKNOWN_ACCELERATOR,
            f"accelerator {wanted.type} is not in the catalogue"
            f" ({', '.join(accelerator_names())}); name one of these or set accelerator.memoryGiB",
        )
    return replace(like, name=wanted.type, per_node=wanted.per_node)


def _warnings(model: Architecture, gpu: Gpu, plan: Plan) -> list[str]:
    said: list[str] = []
    if accelerator(gpu.name) is None:
        said.append(f"{gpu.name} is not in the catalogue: speed and price are an A100-80GB's")
    if model.quantization and model.quantization.method == "fp8" and not gpu.fp8_tflops:
        said.append(f"{gpu.name} has no FP8 units: FP8 weights save memory but compute in BF16")
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
