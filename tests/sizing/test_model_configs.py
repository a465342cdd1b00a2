"""A Hugging Face config.json is read as SGLang and transformers read it, or refused in words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heterollm_controllers.sizing.architecture import Architecture, Experts, LatentAttention, Quantization, Vision
from heterollm_controllers.sizing.hf_classes import CLASSES
from heterollm_controllers.sizing.hf_config import UnreadableConfig, architecture_from
from tests.core.properties import quick

Config = dict[str, Any]

LLAMA: Config = {
    "architectures": ["LlamaForCausalLM"],
    "num_hidden_layers": 32,
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 128256,
    "max_position_embeddings": 8192,
}
MIXTRAL: Config = {**LLAMA, "architectures": ["MixtralForCausalLM"], "num_local_experts": 8, "num_experts_per_tok": 2}
QWEN3_MOE: Config = {
    **LLAMA,
    "architectures": ["Qwen3MoeForCausalLM"],
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "moe_intermediate_size": 768,
}
QWEN2_MOE: Config = {**QWEN3_MOE, "architectures": ["Qwen2MoeForCausalLM"], "shared_expert_intermediate_size": 5632}
DEEPSEEK: Config = {
    **LLAMA,
    "architectures": ["DeepseekV3ForCausalLM"],
    "q_lora_rank": 1536,
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "moe_intermediate_size": 2048,
    "n_routed_experts": 256,
    "n_shared_experts": 1,
    "num_experts_per_tok": 8,
    "first_k_dense_replace": 3,
    "num_nextn_predict_layers": 1,
}
GEMMA3_4B: Config = {
    "architectures": ["Gemma3ForConditionalGeneration"],
    "text_config": {
        "hidden_size": 2560,
        "intermediate_size": 10240,
        "model_type": "gemma3_text",
        "num_hidden_layers": 34,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
        "sliding_window": 1024,
    },
    "vision_config": {"hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27},
}
LLAMA4: Config = {
    "architectures": ["Llama4ForConditionalGeneration"],
    "text_config": {
        **{key: value for key, value in LLAMA.items() if key != "architectures"},
        "num_hidden_layers": 48,
        "intermediate_size": 8192,
        "intermediate_size_mlp": 16384,
        "interleave_moe_layer_step": 2,
        "num_local_experts": 128,
        "num_experts_per_tok": 1,
    },
}
GPT_OSS: Config = {
    **LLAMA,
    "architectures": ["GptOssForCausalLM"],
    "num_local_experts": 32,
    "num_experts_per_tok": 4,
    "intermediate_size": 2880,
    "num_hidden_layers": 24,
}


def read(config: Config) -> Architecture:
    return architecture_from("a/model", config)


def without(config: Config, *keys: str) -> Config:
    return {key: value for key, value in config.items() if key not in keys}


def test_a_dense_model() -> None:
    assert read(LLAMA) == Architecture(
        model="a/model",
        name="LlamaForCausalLM",
        layers=32,
        hidden=4096,
        heads=32,
        kv_heads=8,
        head_dim=128,
        intermediate=14336,
        vocabulary=128256,
        tied=False,
        context=8192,
    )


@pytest.mark.parametrize(
    ("config", "values"),
    [
        # What a class assumes when the config does not say.
        (without(LLAMA, "num_key_value_heads"), {"kv_heads": 32}),
        (LLAMA | {"num_key_value_heads": None}, {"kv_heads": 32}),
        (LLAMA | {"head_dim": 64, "attention_bias": True, "tie_word_embeddings": True},
         {"head_dim": 64, "attention_bias": True, "tied": True}),
        (LLAMA | {"hidden_size": 4096.0}, {"hidden": 4096}),
        (without(LLAMA, "num_key_value_heads") | {"architectures": ["MistralForCausalLM"]}, {"kv_heads": 8}),
        (LLAMA | {"architectures": ["Qwen2ForCausalLM"]}, {"attention_bias": True, "qk_norm": False}),
        (LLAMA | {"architectures": ["Qwen3ForCausalLM"], "hidden_size": 1024},
         {"head_dim": 128, "attention_bias": False, "qk_norm": True}),
        (QWEN3_MOE | {"hidden_size": 1024}, {"head_dim": 32, "qk_norm": True}),
        (LLAMA | {"architectures": ["Gemma2ForCausalLM"]}, {"tied": True, "head_dim": 256}),
        (GPT_OSS, {"attention_bias": True, "head_dim": 64}),
        # The class from model_type alone, as old files have it.
        (without(LLAMA, "architectures") | {"model_type": "qwen3"}, {"name": "Qwen3ForCausalLM"}),
        (without(DEEPSEEK, "architectures") | {"model_type": "kimi_k2"}, {"name": "DeepseekV3ForCausalLM"}),
        # Language models inside a model with a vision part; real files leave out what the class assumes.
        (GEMMA3_4B, {"layers": 34, "heads": 8, "kv_heads": 4, "head_dim": 256, "vocabulary": 262208, "tied": True,
                     "context": 131072, "sliding_window": 1024, "sliding_layers": 29,
                     "vision": Vision(27 * (4 * 1152**2 + 2 * 1152 * 4304), 27 * 1152**2, False)}),
        # FP32 checkpoints are loaded as FP16.
        (LLAMA | {"torch_dtype": "float32"}, {"bytes_per_weight": 2}),
    ],
)  # fmt: skip
def test_values(config: Config, values: dict[str, Any]) -> None:
    model = read(config)
    assert {name: getattr(model, name) for name in values} == values


@pytest.mark.parametrize(
    ("config", "experts", "dense_width"),
    [
        (MIXTRAL, Experts(8, 2, 14336, 0, 32), 0),
        (QWEN3_MOE, Experts(128, 8, 768, 0, 32), 0),
        (QWEN3_MOE | {"decoder_sparse_step": 2}, Experts(128, 8, 768, 0, 16), 14336),
        (QWEN3_MOE | {"mlp_only_layers": [0, 31]}, Experts(128, 8, 768, 0, 30), 14336),
        (QWEN2_MOE, Experts(128, 8, 768, 5632, 32), 0),
        (DEEPSEEK, Experts(256, 8, 2048, 2048, 29), 14336),
        (DEEPSEEK | {"n_shared_experts": 2, "first_k_dense_replace": 0}, Experts(256, 8, 2048, 4096, 32), 0),
        (DEEPSEEK | {"n_shared_experts": None, "moe_layer_freq": 2}, Experts(256, 8, 2048, 0, 14), 14336),
        (LLAMA4, Experts(128, 1, 8192, 8192, 24), 16384),
        (GPT_OSS, Experts(32, 4, 2880, 0, 24, True), 0),
    ],
)
def test_experts(config: Config, experts: Experts, dense_width: int) -> None:
    model = read(config)
    assert (model.experts, model.intermediate) == (experts, dense_width)


def test_moe_class_without_a_moe_layer_is_dense() -> None:
    model = read(QWEN3_MOE | {"decoder_sparse_step": 64})
    assert (model.experts, model.intermediate) == (None, 14336)


@pytest.mark.parametrize("rank", [None, 1536])
def test_latent_attention_may_leave_queries_uncompressed(rank: int | None) -> None:
    model = read(DEEPSEEK | {"q_lora_rank": rank})
    assert model.latent == LatentAttention(rank or 0, 512, 128, 64, 128)
    assert model.kv_heads == model.heads


@pytest.mark.parametrize(
    ("config", "window", "layers", "own_pool"),
    [
        (LLAMA | {"sliding_window": 4096}, 0, 0, False),  # Llama has no windows, whatever the file says
        (LLAMA | {"architectures": ["MistralForCausalLM"]}, 4096, 32, False),
        (LLAMA | {"architectures": ["MistralForCausalLM"], "sliding_window": None}, 0, 0, False),
        (LLAMA | {"architectures": ["Qwen2ForCausalLM"], "sliding_window": 4096}, 0, 0, False),
        (LLAMA | {"architectures": ["Qwen2ForCausalLM"], "use_sliding_window": True, "max_window_layers": 30},
         4096, 2, False),
        (LLAMA | {"architectures": ["Gemma2ForCausalLM"]}, 4096, 16, False),
        (LLAMA | {"architectures": ["Gemma3ForCausalLM"], "sliding_window_pattern": 4}, 4096, 24, False),
        (GPT_OSS, 128, 12, True),
        (GPT_OSS | {"layer_types": ["full_attention"] * 23 + ["sliding_attention"]}, 128, 1, True),
        (GPT_OSS | {"layer_types": ["full_attention"] * 24}, 0, 0, False),
        (LLAMA4, 8192, 36, True),
    ],
)  # fmt: skip
def test_sliding_windows(config: Config, window: int, layers: int, own_pool: bool) -> None:
    model = read(config)
    assert (model.sliding_window, model.sliding_layers, model.sliding_pool) == (window, layers, own_pool)


@pytest.mark.parametrize(
    ("scaling", "context"),
    [
        (None, 8192),
        ({"rope_type": "llama3", "factor": 8.0}, 8192),
        ({"type": "yarn", "factor": 40, "original_max_position_embeddings": 4096}, 8192),
        ({"rope_type": "yarn", "factor": 4.0}, 8192),
        ({"type": "linear", "factor": 4}, 32768),
        ({"rope_type": "dynamic", "factor": 2.0}, 16384),
        ({"rope_type": "default"}, 8192),
    ],
)
@pytest.mark.parametrize("key", ["rope_scaling", "rope_parameters"])
def test_context_is_the_one_that_sglang_derives(key: str, scaling: Config | None, context: int) -> None:
    assert read(LLAMA | {key: scaling}).context == context


INT4 = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 32}
FP8 = {"num_bits": 8, "type": "float", "strategy": "channel"}
NVFP4 = {"quant_method": "modelopt", "quant_algo": "NVFP4"}


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, Quantization("fp8", 8, block=(128, 128))),
        ({"quant_method": "fp8", "activation_scheme": "static"}, Quantization("fp8", 8)),
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, Quantization("awq", 4, group=128)),
        ({"quant_method": "awq", "w_bit": 4, "q_group_size": 64}, Quantization("awq", 4, group=64)),
        ({"quant_method": "gptq", "bits": 8, "group_size": -1}, Quantization("gptq", 8)),
        ({"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": FP8}}},
         Quantization("compressed-tensors", 8)),
        ({"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": INT4}},
          "ignore": ["lm_head", "re:.*self_attn.*"]},
         Quantization("compressed-tensors", 4, group=32, only_experts=True)),
        ({"quant_method": "compressed-tensors", "config_groups": {"a": {"weights": INT4}, "b": {"weights": FP8}}},
         Quantization("compressed-tensors", 8)),
        ({"quant_method": "compressed-tensors",
          "config_groups": {"a": {"weights": FP8 | {"strategy": "block", "block_structure": [64, 128]}}}},
         Quantization("compressed-tensors", 8, block=(64, 128))),
        ({"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn", "lm_head"]},
         Quantization("mxfp4", 4, group=32, only_experts=True)),
        ({"quant_algo": "FP8"}, Quantization("modelopt_fp8", 8)),
        (NVFP4, Quantization("modelopt_fp4", 4, group=16)),
        (NVFP4 | {"kv_cache_quant_algo": "FP8"}, Quantization("modelopt_fp4", 4, group=16, fp8_kv_cache=True)),
        (NVFP4 | {"kv_cache_scheme": {"type": "float", "num_bits": 8}},
         Quantization("modelopt_fp4", 4, group=16, fp8_kv_cache=True)),
        (NVFP4 | {"kv_cache_scheme": "FP8"}, Quantization("modelopt_fp4", 4, group=16, fp8_kv_cache=True)),
        (NVFP4 | {"ignore": ["model.layers.0.self_attn*"]},
         Quantization("modelopt_fp4", 4, group=16, only_experts=True)),
    ],
)  # fmt: skip
def test_quantization(written: Config, read_as: Quantization) -> None:
    assert read(LLAMA | {"quantization_config": written}).quantization == read_as


def test_quantization_may_stand_with_the_language_model() -> None:
    text = GEMMA3_4B["text_config"] | {"quantization_config": {"quant_method": "fp8"}}
    assert read(GEMMA3_4B | {"text_config": text}).quantization == Quantization("fp8", 8)


def test_attention_data_parallelism_only_where_sglang_shards_attention_for_it() -> None:
    """As read from the model files of SGLang 0.5.23: the others split attention over all GPUs of the engine."""
    assert {name for name, facts in CLASSES.items() if facts.attention_dp} == {
        "DeepseekV2ForCausalLM",
        "DeepseekV3ForCausalLM",
        "Glm4MoeForCausalLM",
        "Glm4MoeLiteForCausalLM",
        "GptOssForCausalLM",
        "KimiK25ForConditionalGeneration",
        "Llama4ForCausalLM",
        "Llama4ForConditionalGeneration",
        "MiniMaxM2ForCausalLM",
        "Qwen2MoeForCausalLM",
        "Qwen3ForCausalLM",
        "Qwen3MoeForCausalLM",
        "Qwen3VLForConditionalGeneration",
        "Qwen3VLMoeForConditionalGeneration",
    }


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, ["architectures is missing", "LlamaForCausalLM"]),
        (LLAMA | {"architectures": ["BertModel"]}, ["BertModel", "Qwen3ForCausalLM"]),
        (LLAMA | {"architectures": "LlamaForCausalLM"}, ["architectures", "list of strings"]),
        (without(LLAMA, "hidden_size"), ["hidden_size is missing"]),
        (LLAMA | {"num_hidden_layers": 10**9}, ["num_hidden_layers is 1000000000", "from 1 to 1024"]),
        (LLAMA | {"num_hidden_layers": -1}, ["num_hidden_layers is -1"]),
        (LLAMA | {"hidden_size": True}, ["hidden_size is True"]),
        (LLAMA | {"hidden_size": "4096"}, ["hidden_size is '4096'"]),
        (LLAMA | {"hidden_size": 0.5}, ["hidden_size is 0.5"]),
        (LLAMA | {"hidden_size": float("nan")}, ["hidden_size is nan"]),
        (LLAMA | {"vocab_size": 10**5000}, ["vocab_size is a number of more than 64 bits"]),
        (LLAMA | {"vocab_size": [[[]]]}, ["vocab_size is a list"]),
        (LLAMA | {"num_key_value_heads": 5}, ["num_attention_heads 32", "num_key_value_heads 5"]),
        (LLAMA | {"num_attention_heads": 24}, ["head_dim is missing", "hidden_size 4096"]),
        (LLAMA | {"tie_word_embeddings": "yes"}, ["tie_word_embeddings is 'yes'", "true or false"]),
        (LLAMA | {"rope_scaling": {"type": "linear", "factor": 1e9}}, ["rope_scaling", "factor is 1000000000.0"]),
        (QWEN3_MOE | {"num_experts_per_tok": 129}, ["num_experts_per_tok 129", "num_experts 128"]),
        (QWEN3_MOE | {"mlp_only_layers": ["a"]}, ["mlp_only_layers", "whole numbers"]),
        (without(GEMMA3_4B, "text_config"), ["text_config is missing"]),
        (GEMMA3_4B | {"text_config": 1}, ["text_config is 1", "object"]),
        (GPT_OSS | {"layer_types": ["full_attention"]}, ["layer_types has 1 entries", "24 layers"]),
        (GPT_OSS | {"layer_types": ["mamba"] * 24}, ["layer_types has the entry 'mamba'"]),
        (LLAMA | {"quantization_config": {"quant_method": "fbgemm_fp8"}}, ["fbgemm_fp8", "awq", "compressed-tensors"]),
        (LLAMA | {"quantization_config": {}}, ["quant_method"]),
        (LLAMA | {"quantization_config": {"quant_method": "fp8", "weight_block_size": [128]}}, ["weight_block_size"]),
        (LLAMA | {"quantization_config": {"quant_method": "fp8", "weight_block_size": [0, 0]}}, ["weight_block_size"]),
        (LLAMA | {"quantization_config": {"quant_method": "awq", "bits": 64}}, ["bits is 64"]),
        (LLAMA | {"quantization_config": {"quant_method": "compressed-tensors"}}, ["config_groups", "num_bits"]),
        (LLAMA | {"quantization_config": {"quant_algo": "W4A8"}}, ["quant_algo is 'W4A8'", "NVFP4"]),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(config: Config, words: list[str]) -> None:
    with pytest.raises(UnreadableConfig) as caught:
        read(config)
    message = str(caught.value)
    assert message.startswith("config of a/model")
    assert [word for word in words if word not in message] == []


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**9)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["fp8", "awq", "compressed-tensors", "modelopt", "NVFP4", "group", "linear", "full_attention"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)
CONFIGS = [LLAMA, MIXTRAL, QWEN3_MOE, QWEN2_MOE, DEEPSEEK, GEMMA3_4B, LLAMA4, GPT_OSS]
KEYS = sorted(
    {key for config in CONFIGS for key in [*config, *config.get("text_config", {})]}
    | {"rope_scaling", "layer_types", "quantization_config", "mlp_only_layers", "sliding_window", "head_dim"}
    | {"interleave_moe_layer_step", "moe_layer_freq", "sliding_window_pattern", "max_window_layers"}
)
QUANTIZATIONS = st.fixed_dictionaries(
    {"quant_method": st.sampled_from(["fp8", "awq", "gptq", "compressed-tensors", "mxfp4", "modelopt"])},
    optional={
        "bits": ANYTHING,
        "group_size": ANYTHING,
        "weight_block_size": ANYTHING,
        "config_groups": st.dictionaries(st.text(max_size=3), st.dictionaries(st.just("weights"), ANYTHING)),
        "ignore": ANYTHING,
        "quant_algo": ANYTHING,
        "kv_cache_scheme": ANYTHING,
    },
)


@quick(400)
@given(
    base=st.sampled_from(CONFIGS),
    changes=st.dictionaries(st.sampled_from(KEYS), ANYTHING, max_size=4),
    inside=st.booleans(),
    quantization=st.none() | QUANTIZATIONS,
)
def test_no_config_does_more_than_be_refused(
    base: Config, changes: Config, inside: bool, quantization: Config | None
) -> None:
    config = base | {"quantization_config": quantization}
    if inside and "text_config" in base:
        config = config | {"text_config": base["text_config"] | changes}
    else:
        config = config | changes
    try:
        model = read(config)
    except UnreadableConfig as error:
        assert str(error).startswith("config of a/model")  # noqa: PT017
        assert len(str(error)) < 2000  # noqa: PT017
        return
    assert min(model.layers, model.hidden, model.heads, model.kv_heads, model.head_dim, model.vocabulary) > 0
    assert model.heads % model.kv_heads == 0
    assert 0 <= model.sliding_layers <= model.layers
    assert model.experts is None or 0 < model.experts.layers <= model.layers
    assert hash(model) is not None


@quick(100)
@given(config=st.dictionaries(st.text(max_size=10), ANYTHING))
def test_junk_is_refused(config: Config) -> None:
    with pytest.raises(UnreadableConfig):
        read(config)
