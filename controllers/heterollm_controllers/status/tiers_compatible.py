"""Whether requests may move between a cluster's tiers: their models' tokenizers, chat templates and families (R5)."""

from __future__ import annotations

from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.api.v1alpha1.tier import Tier
from heterollm_controllers.api.vocabulary import ConditionType, Reason
from heterollm_controllers.sizing import ConfigMaps
from heterollm_controllers.sizing.architecture import Architecture
from heterollm_controllers.sizing.family import family_mismatch as _mismatch
from heterollm_controllers.sizing.hf_config import UnreadableConfig
from heterollm_controllers.sizing.model_of import architecture_of
from heterollm_controllers.status.conditions import ConditionUpdate

__all__ = ["UNCHECKED", "compatible", "family_mismatch"]

UNCHECKED = ConditionUpdate(ConditionType.TIERS_COMPATIBLE, True, Reason.NOT_CHECKED, "familyCheck is off")


def family_mismatch(spec: HeteroLLMClusterSpec, config_maps: ConfigMaps) -> str:
    """What the tiers' models do not share; empty when all they are known to have is shared, or nobody asks.

    Of the model of a service outside of the cluster only a name is known.
    """
    if spec.family_check == "Off":
        return ""
    return "; ".join(_mismatch({tier.name: _model(tier, config_maps) for tier in spec.engine_tiers}))


def _model(tier: Tier, config_maps: ConfigMaps) -> Architecture | None:
    try:
        return architecture_of(tier.model, config_maps)
    except UnreadableConfig:
        return None  # sizing refuses it


def compatible(spec: HeteroLLMClusterSpec, mismatch: str) -> ConditionUpdate:
    """The condition: a mismatch is a warning, or a refusal if the spec wants one."""
    if spec.family_check == "Off":
        return UNCHECKED
    if mismatch:
        return ConditionUpdate(ConditionType.TIERS_COMPATIBLE, False, Reason.FAMILY_MISMATCH, mismatch)
    message = "the tiers' models share tokenizer, chat template and family, as far as they are known"
    return ConditionUpdate(ConditionType.TIERS_COMPATIBLE, True, Reason.SAME_FAMILY, message)
