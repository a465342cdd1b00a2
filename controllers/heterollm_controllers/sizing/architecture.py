"""What sizing needs to know of a model: the shapes that decide bytes, FLOPs and which parallel splits exist."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Architecture", "Experts", "LatentAttention", "Quantization", "Vision"]


@dataclass(frozen=True)
class Experts:
    """The mixture-of-experts part of a model.

    Attributes:
        count: routed experts per MoE layer.
        active: routed experts that one token uses.
        intermediate: width of one routed expert.
        shared_intermediate: width of all shared experts of a layer together; 0 without any.
        layers: MoE layers; the model's other layers have a dense MLP of width `Architecture.intermediate`.
        bias: whether experts have biases.
    """

    count: int
    active: int
    intermediate: int
    shared_intermediate: int
    layers: int
    bias: bool = False


@dataclass(frozen=True)
class LatentAttention:
    """Multi-head latent attention (DeepSeek): ranks and head widths. `q_lora_rank` 0: queries are not compressed."""

    q_lora_rank: int
    kv_lora_rank: int
    qk_nope_head_dim: int
    qk_rope_head_dim: int
    v_head_dim: int


@dataclass(frozen=True)
class Quantization:
    """How the checkpoint's linear weights are stored.

    Attributes:
        method: SGLang's name: fp8, awq, gptq, mxfp4, compressed-tensors, ...
        bits: bits of one weight.
        block: (rows, columns) that share a scale, for block-wise FP8; else None.
        group: weights that share a scale, for INT4; 0 when there is one scale per channel or tensor.
        only_experts: whether only the routed experts are quantised (GPT-OSS's MXFP4, Kimi-K2's INT4).
        fp8_kv_cache: whether the checkpoint asks for an FP8 KV cache and SGLang's `auto` follows it.
    """

    method: str
    bits: int
    block: tuple[int, int] | None = None
    group: int = 0
    only_experts: bool = False
    fp8_kv_cache: bool = False


@dataclass(frozen=True)
class Vision:
    """The vision part of a model, which SGLang loads beside the decoder.

    Attributes:
        parameters: of its encoder.
        size: layers times width squared, by which SGLang judges how much memory images need.
        by_default: whether images are taken unless they are turned off; else only with --enable-multimodal.
    """

    parameters: int
    size: int
    by_default: bool


@dataclass(frozen=True)
class Architecture:
    """A decoder-only language model.

    Attributes:
        model: model id this was read for.
        name: the Hugging Face architecture class, for example Qwen3ForCausalLM.
        layers: decoder layers.
        hidden: width of the residual stream.
        heads, kv_heads, head_dim: attention; with latent attention kv_heads equals heads and head_dim is unused.
        intermediate: width of the dense MLP; 0 when every layer is MoE.
        vocabulary: rows of the embedding.
        tied: whether the output head is the embedding.
        context: longest context in tokens that the model was made for.
        bytes_per_weight: of weights that are not quantised: 2, as SGLang loads FP32 checkpoints as FP16 or BF16.
        attention_bias: whether q, k and v have a bias.
        qk_norm: whether q and k are normalised per head.
        sliding_window: tokens of the window, 0 without any; and sliding_layers: how many layers use it.
        sliding_pool: whether SGLang keeps the KV of sliding layers in a smaller pool of their own.
        attention_dp: whether SGLang's implementation of this class supports attention data parallelism.
        experts, latent, quantization: None when the model has none.
        pipeline: whether SGLang can spread the layers over pipeline stages.
        vision: None when the model takes text only.
        rotary_dim: width of the rotary part of a head; 0: all of it. And rotary_tables: how many tables there are.
        whole_embedding: whether every GPU holds the whole embedding.
        router_bytes: of one weight of the MoE router.
        family, tokenizer, chat_template: names shared by models that can stand in for each other; empty when unknown.
    """

    model: str
    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocabulary: int
    tied: bool
    context: int
    bytes_per_weight: int = 2
    attention_bias: bool = False
    qk_norm: bool = False
    sliding_window: int = 0
    sliding_layers: int = 0
    attention_dp: bool = False
    experts: Experts | None = None
    latent: LatentAttention | None = None
    quantization: Quantization | None = None
    family: str = ""
    tokenizer: str = ""
    chat_template: str = ""
    sliding_pool: bool = False
    vision: Vision | None = None
    pipeline: bool = True
    rotary_dim: int = 0
    rotary_tables: int = 1
    whole_embedding: bool = False
    router_bytes: int = 2
