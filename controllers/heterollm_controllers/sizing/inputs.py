"""What sizing goes by: a tier's SGLang flags, its model's shapes and its GPU, from the spec and the catalogues."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from heterollm_controllers.api.errors import Impossible
from heterollm_controllers.api.v1alpha1.accelerator import Accelerator
from heterollm_controllers.api.v1alpha1.tier import Tier
from heterollm_controllers.api.vocabulary import Reason
from heterollm_controllers.sglang.flags.arguments import Arguments
from heterollm_controllers.sizing.accelerators import Gpu, accelerator, accelerator_names
from heterollm_controllers.sizing.architecture import Architecture
from heterollm_controllers.sizing.hf_config import UnreadableConfig
from heterollm_controllers.sizing.model_of import architecture_of
from heterollm_controllers.sizing.models import nearest_models
from heterollm_controllers.sizing.requirements import Requirements

__all__ = ["NO_CONFIG_MAPS", "ConfigMaps", "gpu_of", "not_sized", "shapes_of"]

ConfigMaps = Mapping[str, Mapping[str, str]]
"""Data of ConfigMaps by their names."""
NO_CONFIG_MAPS: ConfigMaps = MappingProxyType({})


def not_sized(arguments: Arguments) -> str:
    """Why there is no GPU memory to reckon with; empty when there is."""
    if any(arg.startswith("--sim-") for arg in arguments.args):
        return "a simulated engine loads no model"
    if arguments.values.get("--device") == "cpu":
        return "the engine runs on the CPU"
    return ""


def shapes_of(tier: Tier, requirements: Requirements, config_maps: ConfigMaps) -> Architecture | None:
    """The shapes of the tier's model; None when it is not known and the user says how many GPUs to use.

    Raises:
        Impossible: a config that cannot be read, or an unknown model without a number of GPUs.
    """
    try:
        known = architecture_of(tier.model, config_maps)
    except UnreadableConfig as error:
        raise Impossible(Reason.UNREADABLE_MODEL, str(error)) from None
    if known is None and requirements.gpus is None and requirements.nodes is None and requirements.tensor is None:
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
        known = replace(known, dollars_per_hour=wanted.dollars_per_hour)
    return known


def gpu_price(wanted: Accelerator) -> float | None:
    """Dollars per hour of one GPU; None when nobody knows."""
    try:
        return gpu_of(wanted).dollars_per_hour
    except Impossible:
        return None


def _unlisted(wanted: Accelerator) -> Gpu:
    """A GPU of which only the memory is known; the plan says that its speed is an A100's, its price unknown."""
    like = accelerator("A100-80GB")
    if wanted.memory_gib is None or like is None:
        raise Impossible(
            Reason.UNKNOWN_ACCELERATOR,
            f"accelerator {wanted.type} is not in the catalogue"
            f" ({', '.join(accelerator_names())}); name one of these or set accelerator.memoryGiB",
        )
    return replace(like, name=wanted.type, per_node=wanted.per_node, dollars_per_hour=None)
