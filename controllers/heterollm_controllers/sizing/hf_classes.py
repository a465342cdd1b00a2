"""What a config.json leaves unsaid, per Hugging Face architecture class: one table.

Defaults are those of the configuration classes of transformers 5.19, the release that SGLang 0.5.23 requires; what
SGLang does with a class is read from its model files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from heterollm_controllers.sizing.hf_values import Values

__all__ = ["CLASSES", "ModelClass", "MoeKeys", "class_of_model_type"]

Windows = Callable[[Values, int], tuple[int, int]]
"""From the config and the number of layers to (tokens of the window, layers with a window)."""


@dataclass(frozen=True)
class MoeKeys:
    """Where a class keeps its experts.

    Attributes:
        count, width: keys of the number of routed experts and of the width of one.
        shared_count: key of the number of shared experts, each as wide as a routed one; empty without.
        shared_width: key of the width of all shared experts together; empty without.
        one_shared: whether every MoE layer has exactly one shared expert, as wide as a routed one.
        bias: whether experts have biases.
        dense_width: key of the width of dense layers.
        layers: from the config and the number of layers to the number of MoE layers.
    """

    count: str
    layers: Callable[[Values, int], int]
    width: str = "moe_intermediate_size"
    shared_count: str = ""
    shared_width: str = ""
    one_shared: bool = False
    bias: bool = False
    dense_width: str = "intermediate_size"


@dataclass(frozen=True)
class ModelClass:
    """Facts about one architecture class.

    Attributes:
        model_type: the config's model_type, to find the class when `architectures` is missing.
        family: models of this class can stand in for each other; empty where many families share the class.
        attention_dp: whether SGLang shards its attention over the attention-tensor-parallel group and reduces there,
            which attention data parallelism needs.
        tied: default of tie_word_embeddings.
        defaults: of whole numbers that real configs leave out. A null in the config wins over them, as in transformers.
        bias, qk_norm: whether q, k and v have a bias, q and k a norm: fixed, or the key that says so and its default.
        windows: which layers attend to a window only.
        sliding_pool: whether SGLang keeps those layers' KV in a pool of its own.
        latent: whether attention is DeepSeek's multi-head latent attention.
        moe: None for dense models.
        factor_extends: whether a RoPE factor multiplies max_position_embeddings.
        in_text_config: whether the language model is described in text_config, beside a vision part.
        pipeline: whether SGLang can spread its layers over pipeline stages.
        images: whether SGLang takes images for it unless told not to.
        rotary_tables, whole_embedding, router_bytes: as in Architecture.
    """

    model_type: str
    windows: Windows
    family: str = ""
    attention_dp: bool = False
    tied: bool = False
    defaults: Mapping[str, int] = field(default_factory=dict)
    bias: bool | tuple[str, bool] = False
    qk_norm: bool | tuple[str, bool] = False
    sliding_pool: bool = False
    latent: bool = False
    moe: MoeKeys | None = None
    factor_extends: bool = True
    in_text_config: bool = False
    pipeline: bool = True
    images: bool = True
    rotary_tables: int = 1
    whole_embedding: bool = False
    router_bytes: int = 2


def _no_window(_config: Values, _layers: int) -> tuple[int, int]:
    return 0, 0


def _every_layer(config: Values, layers: int) -> tuple[int, int]:
    window = config.whole("sliding_window", 0, least=0)
    return window, layers if window else 0


def _last_layers(config: Values, layers: int) -> tuple[int, int]:
    """Qwen: layers from max_window_layers on, if use_sliding_window."""
    if not config.flag("use_sliding_window", False):
        return 0, 0
    sliding = max(0, layers - config.whole("max_window_layers", 28, least=0))
    return (config.whole("sliding_window", 4096), sliding) if sliding else (0, 0)


def _named_or_one_full_in(period: int | str) -> Windows:
    """As `layer_types` says; without it, every n-th layer is full, n being fixed or the value of a key (default 6)."""

    def windows(config: Values, layers: int) -> tuple[int, int]:
        window = config.whole("sliding_window", 0, least=0)
        types = config.texts("layer_types")
        if types:
            sliding = _count_sliding(config, types, layers)
        else:
            sliding = layers - layers // (config.whole(period, 6) if isinstance(period, str) else period)
        return (window, sliding) if window and sliding else (0, 0)

    return windows


def _count_sliding(config: Values, types: tuple[str, ...], layers: int) -> int:
    strange = set(types) - {"sliding_attention", "full_attention"}
    if strange or len(types) != layers:
        found = f"{len(types)} entries" if not strange else f"the entry {min(strange)[:40]!r}"
        raise config.unreadable(
            f"layer_types has {found}, but must name sliding_attention or full_attention for each of {layers} layers"
        )
    return types.count("sliding_attention")


def _chunked(config: Values, layers: int) -> tuple[int, int]:
    """Llama 4: three of four layers attend inside chunks."""
    return config.whole("attention_chunk_size", 8192), layers - layers // 4


def _all_moe(_config: Values, layers: int) -> int:
    return layers


def _after_dense(config: Values, layers: int) -> int:
    """DeepSeek, GLM: the first layers are dense; of the rest every moe_layer_freq-th is MoE."""
    first = min(config.whole("first_k_dense_replace", least=0), layers)
    period = config.whole("moe_layer_freq", 1)
    return sum(1 for layer in range(first, layers) if layer % period == 0)


def _sparse_steps(config: Values, layers: int) -> int:
    """Qwen: every decoder_sparse_step-th layer that mlp_only_layers does not name."""
    dense = frozenset(config.wholes("mlp_only_layers") or ())
    step = config.whole("decoder_sparse_step", 1)
    return sum(1 for layer in range(layers) if layer not in dense and (layer + 1) % step == 0)


def _interleaved(config: Values, layers: int) -> int:
    """Llama 4: every interleave_moe_layer_step-th layer; SGLang does not look at moe_layers."""
    step = config.whole("interleave_moe_layer_step", 1, least=0)
    return layers // step if step else layers


_LLAMA = ModelClass("llama", _no_window, bias=("attention_bias", False))
_MISTRAL = ModelClass("mistral", _every_layer, defaults={"num_key_value_heads": 8, "sliding_window": 4096})
_QWEN3 = ModelClass(
    "qwen3",
    _last_layers,
    family="qwen3",
    attention_dp=True,
    defaults={"head_dim": 128},
    bias=("attention_bias", False),
    qk_norm=True,
)
_QWEN_EXPERTS = MoeKeys("num_experts", _sparse_steps)
_QWEN3_MOE = replace(
    _QWEN3,
    model_type="qwen3_moe",
    # No default of 128 here: without head_dim it is hidden / heads.
    defaults={"num_key_value_heads": 4},
    moe=_QWEN_EXPERTS,
)
_GEMMA3 = ModelClass(
    "gemma3_text",
    _named_or_one_full_in("sliding_window_pattern"),
    family="gemma3",
    pipeline=False,
    images=False,
    rotary_tables=2,
    whole_embedding=True,
    tied=True,
    defaults={
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "vocab_size": 262208,
        "max_position_embeddings": 131072,
        "sliding_window": 4096,
    },
    bias=("attention_bias", False),
    qk_norm=True,
    # The factor belongs to the global layers alone.
    factor_extends=False,
)
_DEEPSEEK_EXPERTS = MoeKeys("n_routed_experts", _after_dense, shared_count="n_shared_experts")
_DEEPSEEK = ModelClass(
    "deepseek_v3",
    _no_window,
    attention_dp=True,
    latent=True,
    moe=_DEEPSEEK_EXPERTS,
)
_LLAMA4 = ModelClass(
    "llama4_text",
    _chunked,
    family="llama4",
    attention_dp=True,
    defaults={"head_dim": 128, "num_key_value_heads": 8, "num_experts_per_tok": 1},
    bias=("attention_bias", False),
    # SGLang's Llama 4 normalises q and k without weights.
    moe=MoeKeys(
        "num_local_experts",
        _interleaved,
        width="intermediate_size",
        one_shared=True,
        dense_width="intermediate_size_mlp",
    ),
    pipeline=False,
    images=False,
)

CLASSES: Mapping[str, ModelClass] = {
    "LlamaForCausalLM": _LLAMA,
    "Phi3ForCausalLM": ModelClass("phi3", _every_layer),
    "MistralForCausalLM": _MISTRAL,
    "Mistral3ForConditionalGeneration": replace(_MISTRAL, model_type="mistral3", in_text_config=True),
    "MixtralForCausalLM": ModelClass(
        "mixtral",
        _every_layer,
        family="mixtral",
        defaults={"num_key_value_heads": 8, "num_experts_per_tok": 2},
        moe=MoeKeys("num_local_experts", _all_moe, width="intermediate_size"),
    ),
    "Qwen2ForCausalLM": ModelClass("qwen2", _last_layers, bias=True),
    "Qwen2MoeForCausalLM": ModelClass(
        "qwen2_moe",
        _last_layers,
        attention_dp=True,
        bias=("qkv_bias", True),
        moe=replace(_QWEN_EXPERTS, shared_width="shared_expert_intermediate_size"),
    ),
    "Qwen3ForCausalLM": _QWEN3,
    "Qwen3MoeForCausalLM": _QWEN3_MOE,
    "Qwen3VLForConditionalGeneration": replace(_QWEN3, model_type="qwen3_vl", in_text_config=True),
    "Qwen3VLMoeForConditionalGeneration": replace(_QWEN3_MOE, model_type="qwen3_vl_moe", in_text_config=True),
    "GemmaForCausalLM": ModelClass(
        "gemma",
        _no_window,
        family="gemma",
        tied=True,
        defaults={"head_dim": 256, "num_key_value_heads": 16},
        pipeline=False,
    ),
    "Gemma2ForCausalLM": ModelClass(
        "gemma2",
        _named_or_one_full_in(2),
        family="gemma2",
        pipeline=False,
        tied=True,
        defaults={"head_dim": 256, "num_key_value_heads": 4, "sliding_window": 4096},
        bias=("attention_bias", False),
    ),
    "Gemma3ForCausalLM": _GEMMA3,
    "Gemma3ForConditionalGeneration": replace(_GEMMA3, model_type="gemma3", in_text_config=True),
    "GptOssForCausalLM": ModelClass(
        "gpt_oss",
        _named_or_one_full_in(2),
        family="gpt-oss",
        attention_dp=True,
        defaults={"head_dim": 64, "num_key_value_heads": 8, "num_experts_per_tok": 4, "sliding_window": 128},
        bias=("attention_bias", True),
        sliding_pool=True,
        moe=MoeKeys("num_local_experts", _all_moe, width="intermediate_size", bias=True),
    ),
    "Llama4ForCausalLM": _LLAMA4,
    # Only the class with the vision part is in SGLang's list of hybrid sliding-window models.
    "Llama4ForConditionalGeneration": replace(_LLAMA4, model_type="llama4", sliding_pool=True, in_text_config=True),
    "Glm4ForCausalLM": ModelClass(
        "glm4",
        _no_window,
        family="glm4",
        defaults={"head_dim": 128, "num_key_value_heads": 2},
        bias=("attention_bias", True),
    ),
    "Glm4MoeForCausalLM": ModelClass(
        "glm4_moe",
        _no_window,
        family="glm4_moe",
        attention_dp=True,
        defaults={"num_key_value_heads": 8},
        bias=("attention_bias", False),
        qk_norm=("use_qk_norm", False),
        moe=_DEEPSEEK_EXPERTS,
        router_bytes=4,
    ),
    "Glm4MoeLiteForCausalLM": replace(_DEEPSEEK, model_type="glm4_moe_lite", family="glm4_moe_lite"),
    "DeepseekV2ForCausalLM": replace(_DEEPSEEK, model_type="deepseek_v2"),
    "DeepseekV3ForCausalLM": _DEEPSEEK,
    "KimiK25ForConditionalGeneration": replace(_DEEPSEEK, model_type="kimi_k25", family="kimi", in_text_config=True),
    "MiniMaxM2ForCausalLM": ModelClass(
        "minimax_m2",
        _no_window,
        family="minimax_m2",
        attention_dp=True,
        qk_norm=("use_qk_norm", False),
        moe=MoeKeys("num_local_experts", _all_moe, width="intermediate_size"),
        router_bytes=4,
    ),
}

_BY_TYPE = {facts.model_type: name for name, facts in CLASSES.items()} | {"kimi_k2": "DeepseekV3ForCausalLM"}


def class_of_model_type(model_type: str) -> str:
    """The class of a model_type; empty when there is none that sizing knows."""
    return _BY_TYPE.get(model_type, "")
