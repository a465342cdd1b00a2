"""The catalogue of models: every entry has as many parameters as its maker says, and is found by its id."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from heterollm_controllers.sizing.architecture import Architecture, Quantization
from heterollm_controllers.sizing.models import entry, known_model, model_ids, nearest_models
from heterollm_controllers.sizing.parameters import active_parameters, parameters

COUNTED = "element count of its safetensors files"


def known(model_id: str) -> Architecture:
    model = known_model(model_id)
    assert model is not None
    return model


@pytest.mark.parametrize("model_id", model_ids())
def test_parameters_are_as_published(model_id: str) -> None:
    """Counted ones to 0.01 %, which sees a wrong number of KV heads in the largest model.

    With a vision part 0.3 %, as its projector is left out; rounded figures of model cards 1 %.
    """
    published, model = entry(model_id), known(model_id)
    counted = 0.003 if model.vision else 0.0001
    tolerance = counted if COUNTED in published.source else 0.01
    assert parameters(model) == pytest.approx(published.parameters, rel=tolerance)


@pytest.mark.parametrize(
    ("model_id", "billions"),
    [
        ("Qwen/Qwen3-235B-A22B", 22),
        ("Qwen/Qwen3-30B-A3B", 3.3),
        ("Qwen/Qwen3-Coder-480B-A35B-Instruct", 35),
        ("deepseek-ai/DeepSeek-V3", 37),
        ("moonshotai/Kimi-K2-Instruct", 32),
        ("openai/gpt-oss-20b", 3.61),
        ("openai/gpt-oss-120b", 5.13),
        ("zai-org/GLM-4.5", 32),
        ("zai-org/GLM-4.5-Air", 12),
        ("mistralai/Mixtral-8x7B-Instruct-v0.1", 12.9),
        ("MiniMaxAI/MiniMax-M2", 10),
        ("meta-llama/Llama-4-Scout-17B-16E-Instruct", 17),
    ],
)
def test_active_parameters_are_as_published(model_id: str, billions: float) -> None:
    """To 10 %: makers round, and some count the embedding."""
    assert active_parameters(known(model_id)) / 1e9 == pytest.approx(billions, rel=0.1)


def test_a_dense_model_uses_all_but_its_embedding() -> None:
    model = known("Qwen/Qwen3-32B")
    assert parameters(model) - active_parameters(model) == model.vocabulary * model.hidden
    tied = known("Qwen/Qwen3-4B")
    assert parameters(tied) == active_parameters(tied)


def test_values_of_the_design() -> None:
    small = known("Qwen/Qwen3-4B")
    assert (small.layers, small.hidden, small.heads, small.kv_heads, small.head_dim) == (36, 2560, 32, 8, 128)
    assert (small.intermediate, small.vocabulary, small.tied) == (9728, 151936, True)
    large = known("Qwen/Qwen3-235B-A22B")
    assert (large.layers, large.hidden, large.heads, large.kv_heads, large.head_dim) == (94, 4096, 64, 4, 128)
    assert large.experts is not None
    assert (large.experts.count, large.experts.active, large.experts.intermediate) == (128, 8, 1536)
    assert (large.vocabulary, large.tied, large.attention_dp) == (151936, False, True)
    assert known("Qwen/Qwen3-235B-A22B-FP8").quantization == Quantization("fp8", 8, block=(128, 128))
    latent = known("deepseek-ai/DeepSeek-V3")
    assert latent.latent is not None
    assert (latent.layers, latent.latent.kv_lora_rank, latent.latent.qk_rope_head_dim) == (61, 512, 64)
    assert (latent.experts and latent.experts.layers, latent.intermediate) == (58, 18432)
    assert not known("meta-llama/Llama-3.1-8B-Instruct").attention_dp


@pytest.mark.parametrize("model_id", model_ids())
def test_every_entry_is_complete(model_id: str) -> None:
    found = entry(model_id)
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", model_id)
    assert found.family
    assert found.tokenizer
    assert found.source
    model = known(model_id)
    assert model.model == model_id
    assert (model.family, model.tokenizer, model.chat_template) == (found.family, found.tokenizer, found.chat_template)


def test_names_that_say_how_weights_are_stored_are_right() -> None:
    """An id with FP8, AWQ, ... has that quantization; the methods are what the names say."""
    methods = {
        "FP8": {"fp8", "modelopt_fp8", "compressed-tensors"},
        "AWQ": {"awq"},
        "GPTQ": {"gptq"},
        "NVFP4": {"modelopt_fp4"},
    }
    checked = 0
    for model_id in model_ids():
        for word, expected in methods.items():
            if word in model_id:
                quantization = known(model_id).quantization
                assert quantization is not None, model_id
                assert quantization.method in expected, model_id
                assert quantization.bits == (4 if "Int4" in model_id or word in ("AWQ", "NVFP4") else 8), model_id
                checked += 1
    assert checked > 25


def test_a_variant_differs_from_its_model_only_where_it_says() -> None:
    base, variant = known("Qwen/Qwen3-30B-A3B"), known("Qwen/Qwen3-30B-A3B-Instruct-2507-FP8")
    assert (base.context, variant.context) == (40960, 262144)
    assert (base.chat_template, variant.chat_template) == ("qwen3", "qwen3-instruct-2507")
    assert (base.layers, base.experts, base.tokenizer) == (variant.layers, variant.experts, variant.tokenizer)


def test_case_of_an_id_does_not_matter_where_it_is_unique() -> None:
    assert known_model("qwen/QWEN3-4b") == known_model("Qwen/Qwen3-4B")
    assert known_model("Qwen/Qwen3-4C") is None
    assert known_model("") is None


@pytest.mark.parametrize(
    ("wanted", "nearest"),
    [
        ("Qwen3-4B", "Qwen/Qwen3-4B"),
        ("Qwen/Qwen3-4B-Instruct", "Qwen/Qwen3-4B-Instruct-2507"),
        ("unsloth/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-8B-Instruct"),
        ("deepseek/DeepSeek-V3", "deepseek-ai/DeepSeek-V3"),
    ],
)
def test_nearest_models(wanted: str, nearest: str) -> None:
    assert nearest in nearest_models(wanted)
    assert len(nearest_models(wanted)) <= 3


def test_nothing_is_near_to_an_unlike_name() -> None:
    assert nearest_models("zzzzzzzz") == ()


def test_importing_reads_no_catalogue() -> None:
    """The operator starts without parsing what it may not need."""
    code = (
        "import sys, json; sys.path[:0] = json.loads(sys.argv[1])\n"
        "from heterollm_controllers.sizing import accelerators, models\n"
        "assert models._written.cache_info().currsize == accelerators._catalogue.cache_info().currsize == 0\n"
        "models.known_model('Qwen/Qwen3-4B'); accelerators.accelerator('H100')\n"
        "assert models._written.cache_info().currsize == accelerators._catalogue.cache_info().currsize == 1\n"
    )
    subprocess.run([sys.executable, "-c", code, json.dumps(sys.path)], check=True)
