"""Bytes of a model's weights on the fullest GPU of an engine, laid out as SGLang 0.5.23 lays them out.

Checked against SGLang's own model classes (see tests/sizing): attention, embeddings and the vision part shard over the
attention-tensor-parallel group, and KV heads are stored more than once when there are fewer of them than GPUs; the
output head shards over all GPUs; experts over expert and MoE tensor parallelism; norms and the router are on every GPU.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil

from heterollm_controllers.sizing.accelerators import Gpu
from heterollm_controllers.sizing.architecture import Architecture, Experts, LatentAttention, Quantization
from heterollm_controllers.sizing.dtypes import group_scale_bytes
from heterollm_controllers.sizing.plan import Split, Weights

__all__ = ["kv_heads_per_gpu", "weights"]

_VOCABULARY_PAD = 64
_ROTARY_BYTES = 4
"""cos and sin tables are FP32, one row of head_dim values per position, one table for all layers."""


@lru_cache(maxsize=4096)
def weights(model: Architecture, gpu: Gpu, split: Split) -> Weights:
    """Bytes on the GPU that carries most.

    Of a pipeline, the first stage has the embedding, and where the layers do not divide, later stages have one more.
    """
    first = _stage(model, gpu, split, model.layers // split.pipeline, embedding=True)
    if model.layers % split.pipeline == 0:
        return first
    later = _stage(model, gpu, split, ceil(model.layers / split.pipeline), embedding=False)
    return max(first, later, key=lambda stage: stage.total)


def _stage(model: Architecture, gpu: Gpu, split: Split, layers: int, *, embedding: bool) -> Weights:
    experts = model.experts
    moe_layers = min(experts.layers, layers) if experts else 0
    mlp = (layers - moe_layers) * _mlp(model, model.intermediate, split.mlp_tensor)
    mlp += moe_layers * _shared_and_router(model, experts, split) if experts else 0
    norms = (2 * layers + 1) * model.hidden * 2
    return Weights(
        attention=int(layers * _attention(model, split) + norms),
        mlp=int(mlp),
        experts=int(moe_layers * _experts(model, gpu, experts, split)) if experts else 0,
        embeddings=int(_embeddings(model, split, embedding)),
        vision=int(model.vision.parameters * model.bytes_per_weight / split.attention_tensor) if model.vision else 0,
        buffers=int(_buffers(model, split, layers)),
    )


def kv_heads_per_gpu(model: Architecture, split: Split) -> int:
    """KV heads that one GPU stores: at least one, even if other GPUs store the same."""
    return max(1, model.kv_heads // split.attention_tensor)


def _linear(model: Architecture, outputs: float, inputs: float, *, expert: bool = False) -> float:
    """Bytes of one linear layer, with the scales of its quantisation."""
    count = outputs * inputs
    quantization = model.quantization
    if quantization is None or (quantization.only_experts and not expert):
        return count * model.bytes_per_weight
    return count * quantization.bits / 8 + _scales(quantization, outputs, inputs)


def _scales(quantization: Quantization, outputs: float, inputs: float) -> float:
    if quantization.block:
        rows, columns = quantization.block
        return ceil(outputs / rows) * ceil(inputs / columns) * 4
    if quantization.method == "mxfp4":
        return outputs * (inputs // quantization.group)  # one 8-bit exponent per whole group
    if quantization.group:
        return outputs * inputs / quantization.group * group_scale_bytes(quantization)
    return outputs * 4


def _attention(model: Architecture, split: Split) -> float:
    if model.latent:
        return _latent_attention(model, model.latent, split)
    heads = model.heads / split.attention_tensor
    kv = kv_heads_per_gpu(model, split)
    width = model.head_dim
    total = _linear(model, (heads + 2 * kv) * width, model.hidden) + _linear(model, model.hidden, heads * width)
    if model.attention_bias:
        total += (heads + 2 * kv) * width * 2
    if model.qk_norm:
        total += 2 * width * 2
    return total


def _latent_attention(model: Architecture, latent: LatentAttention, split: Split) -> float:
    heads = model.heads / split.attention_tensor
    query = heads * (latent.qk_nope_head_dim + latent.qk_rope_head_dim)
    if latent.q_lora_rank:
        down = latent.q_lora_rank + latent.kv_lora_rank + latent.qk_rope_head_dim
        total = _linear(model, down, model.hidden) + _linear(model, query, latent.q_lora_rank)
        norms = latent.q_lora_rank + latent.kv_lora_rank
    else:
        down = latent.kv_lora_rank + latent.qk_rope_head_dim
        total = _linear(model, down, model.hidden) + _linear(model, query, model.hidden)
        norms = latent.kv_lora_rank
    up = _linear(model, heads * (latent.qk_nope_head_dim + latent.v_head_dim), latent.kv_lora_rank)
    return total + up + _linear(model, model.hidden, heads * latent.v_head_dim) + norms * 2


def _mlp(model: Architecture, intermediate: int, tensor: int) -> float:
    width = intermediate / tensor
    return _linear(model, 2 * width, model.hidden) + _linear(model, model.hidden, width)


def _shared_and_router(model: Architecture, experts: Experts, split: Split) -> float:
    router = experts.count * model.hidden * model.router_bytes
    # With an all-to-all, tokens do not meet on all GPUs: each holds the shared experts whole.
    tensor = split.tensor if split.a2a == "none" else 1
    shared = _mlp(model, experts.shared_intermediate, tensor) if experts.shared_intermediate else 0
    return router + shared


def _experts(model: Architecture, gpu: Gpu, experts: Experts, split: Split) -> float:
    width = experts.intermediate / split.moe_tensor
    block = model.quantization.block if model.quantization else None
    if block and gpu.blackwell:
        width = ceil(width / block[0]) * block[0]
    one = _linear(model, 2 * width, model.hidden, expert=True) + _linear(model, model.hidden, width, expert=True)
    if experts.bias:
        # The output's bias is not cut: every GPU adds it once.
        one += (2 * width + model.hidden) * model.bytes_per_weight
    return experts.count / split.expert * one


def _embeddings(model: Architecture, split: Split, first: bool) -> float:
    """Embedding and head; a tied head is the embedding, and SGLang builds the head on every pipeline stage."""
    rows = ceil(model.vocabulary / _VOCABULARY_PAD) * _VOCABULARY_PAD
    table = rows * model.hidden * model.bytes_per_weight
    embedding = table if model.whole_embedding else table / split.attention_tensor
    if model.tied:
        return embedding
    return (embedding if first else 0) + table / (split.attention_tensor if split.dp_head else split.tensor)


def _buffers(model: Architecture, split: Split, layers: int) -> float:
    latent = model.latent
    if latent is None:
        return model.rotary_tables * model.context * (model.rotary_dim or model.head_dim) * _ROTARY_BYTES
    # SGLang absorbs the up-projection of K and V into two BF16 copies beside the loaded weight.
    heads = model.heads / split.attention_tensor
    absorbed = latent.kv_lora_rank * heads * (latent.qk_nope_head_dim + latent.v_head_dim) * 2
    return model.context * latent.qk_rope_head_dim * _ROTARY_BYTES + layers * absorbed
