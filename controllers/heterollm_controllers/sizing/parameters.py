"""How many parameters a model has, and how many of them one token uses."""

from __future__ import annotations

from functools import lru_cache

from heterollm_controllers.sizing.architecture import Architecture, LatentAttention

__all__ = ["active_parameters", "parameters"]


@lru_cache(maxsize=1024)
def parameters(model: Architecture) -> int:
    """All parameters that SGLang loads, the vision part included; without layers for multi-token prediction."""
    embeddings = model.vocabulary * model.hidden * (1 if model.tied else 2)
    routed = model.experts.count if model.experts else 0
    return embeddings + _layers(model, routed) + (model.vision.parameters if model.vision else 0)


@lru_cache(maxsize=1024)
def active_parameters(model: Architecture) -> int:
    """Parameters that one token is multiplied with: the output head, and of the routed experts only the active ones.

    The embedding is looked up, not multiplied; image parts are not used by text.
    """
    routed = model.experts.active if model.experts else 0
    return model.vocabulary * model.hidden + _layers(model, routed)


def _layers(model: Architecture, routed: int) -> int:
    norms = (2 * model.layers + 1) * model.hidden
    moe_layers = model.experts.layers if model.experts else 0
    dense = (model.layers - moe_layers) * _gated_mlp(model, model.intermediate)
    return model.layers * _attention(model) + dense + moe_layers * _moe(model, routed) + norms


def _gated_mlp(model: Architecture, intermediate: int) -> int:
    return 3 * model.hidden * intermediate


def _moe(model: Architecture, routed: int) -> int:
    experts = model.experts
    if experts is None:
        return 0
    router = experts.count * model.hidden
    return router + routed * _gated_mlp(model, experts.intermediate) + _gated_mlp(model, experts.shared_intermediate)


def _attention(model: Architecture) -> int:
    if model.latent:
        return _latent_attention(model, model.latent)
    rows = (model.heads + 2 * model.kv_heads) * model.head_dim
    bias = rows if model.attention_bias else 0
    norms = 2 * model.head_dim if model.qk_norm else 0
    return rows * model.hidden + model.hidden * model.heads * model.head_dim + bias + norms


def _latent_attention(model: Architecture, latent: LatentAttention) -> int:
    query = model.heads * (latent.qk_nope_head_dim + latent.qk_rope_head_dim)
    down = (latent.q_lora_rank + latent.kv_lora_rank + latent.qk_rope_head_dim) * model.hidden
    up_query = query * (latent.q_lora_rank or model.hidden)
    up_kv = model.heads * (latent.qk_nope_head_dim + latent.v_head_dim) * latent.kv_lora_rank
    norms = latent.q_lora_rank + latent.kv_lora_rank
    return down + up_query + up_kv + model.heads * latent.v_head_dim * model.hidden + norms
