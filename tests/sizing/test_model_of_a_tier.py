"""A tier's model is read from the spec, else from the named ConfigMap, else from the catalogue."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from heterollm_controllers.api.v1alpha1.model import Model
from heterollm_controllers.sizing.architecture import Architecture
from heterollm_controllers.sizing.hf_config import UnreadableConfig
from heterollm_controllers.sizing.model_of import _converted, architecture_of
from heterollm_controllers.sizing.models import entry, known_model

CONFIG = {**entry("Qwen/Qwen3-4B").config}


def tier_model(model_id: str = "my/model", **fields: Any) -> Model:
    return Model.model_validate({"id": model_id, **fields})


def refusal(model: Model, config_maps: dict[str, dict[str, str]] | None = None) -> str:
    with pytest.raises(UnreadableConfig) as caught:
        architecture_of(model, config_maps or {})
    return str(caught.value)


def test_the_catalogue_knows_the_id() -> None:
    assert architecture_of(tier_model("Qwen/Qwen3-4B"), {}) == known_model("Qwen/Qwen3-4B")


def test_nothing_is_known() -> None:
    assert architecture_of(tier_model(), {"other": {"config.json": json.dumps(CONFIG)}}) is None


def without_names(model: Architecture | None) -> Architecture:
    assert model is not None
    return replace(model, model="", family="", tokenizer="", chat_template="")


def test_inline_and_config_map_say_the_same() -> None:
    inline = architecture_of(tier_model(config=CONFIG), {})
    wanted = tier_model(configMap={"name": "shapes"})
    mapped = architecture_of(wanted, {"shapes": {"config.json": json.dumps(CONFIG, indent=2)}})
    assert inline == mapped
    assert inline is not None
    assert inline.model == "my/model"
    assert without_names(inline) == without_names(known_model("Qwen/Qwen3-4B"))
    other_key = tier_model(configMap={"name": "shapes", "key": "a.json"})
    assert architecture_of(other_key, {"shapes": {"a.json": json.dumps(CONFIG)}}) == inline


def test_a_stated_config_wins_over_the_catalogue_but_not_over_its_names() -> None:
    model = architecture_of(tier_model("Qwen/Qwen3-4B", config=CONFIG | {"num_hidden_layers": 18}), {})
    assert model is not None
    assert (model.layers, model.tokenizer, model.chat_template) == (18, "qwen3", "qwen3")


def test_an_unchanged_config_is_converted_once() -> None:
    before = _converted.cache_info().misses
    config = CONFIG | {"vocab_size": 12345}
    first = architecture_of(tier_model(config=config), {})
    again = architecture_of(tier_model(config=dict(reversed(config.items()))), {})
    assert first is again
    assert _converted.cache_info().misses == before + 1
    broken = tier_model(config={"vocab_size": 12345})
    assert refusal(broken) == refusal(broken)
    assert _converted.cache_info().misses == before + 2


@pytest.mark.parametrize(
    ("config_maps", "words"),
    [
        ({}, ["no ConfigMap shapes", "label"]),
        ({"shapes": {"a.json": "{}", "b": ""}}, ["no key config.json", "a.json, b"]),
        ({"shapes": {}}, ["no key config.json", "none"]),
        ({"shapes": {"config.json": "hidden_size: 1"}}, ["not JSON", "line 1"]),
        ({"shapes": {"config.json": "[" * 100_000}}, ["not JSON"]),
        ({"shapes": {"config.json": '{"vocab_size": ' + "9" * 5000 + "}"}}, ["not JSON"]),
        ({"shapes": {"config.json": "[1]"}}, ["must be a JSON object"]),
        ({"shapes": {"config.json": "{}"}}, ["architectures is missing"]),
        ({"shapes": {"config.json": " " * 300_000}}, ["more than 256 KiB"]),
    ],
)
def test_what_is_wrong_with_a_config_map_is_said(config_maps: dict[str, dict[str, str]], words: list[str]) -> None:
    message = refusal(tier_model(configMap={"name": "shapes"}), config_maps)
    assert message.startswith("config of my/model: ")
    assert [word for word in words if word not in message] == []


def test_an_inline_config_that_is_no_json_is_refused() -> None:
    loop: dict[str, Any] = {}
    loop["self"] = loop
    model = tier_model(config={}).model_copy(update={"config": loop})
    assert "not JSON" in refusal(model)
