"""R5: what the models of a cluster's tiers do not have in common is said; what is unknown is not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heterollm_controllers.sizing.architecture import Architecture
from heterollm_controllers.sizing.family import family_mismatch
from heterollm_controllers.sizing.models import known_model
from tests.core.properties import quick


def model(model_id: str = "Qwen/Qwen3-4B", **names: str) -> Architecture:
    known = known_model(model_id)
    assert known is not None
    return replace(known, **names)  # type: ignore[arg-type]


def test_one_family_is_silent() -> None:
    assert family_mismatch({"small": model(), "large": model("Qwen/Qwen3-235B-A22B-FP8")}) == ()


def test_every_difference_is_one_sentence_that_names_tiers_models_and_a_way_out() -> None:
    found = family_mismatch({"small": model(), "large": model("deepseek-ai/DeepSeek-V3")})
    assert [sentence.split(":")[0] for sentence in found] == [
        "the tiers' models differ in tokenizer",
        "the tiers' models differ in chat template",
        "the tiers' models differ in family",
    ]
    for sentence in found:
        assert "in tier small (Qwen/Qwen3-4B)" in sentence
        assert "in tier large (deepseek-ai/DeepSeek-V3)" in sentence
        assert "choose models" in sentence or "change in manner" in sentence


def test_re_released_models_differ_in_their_template_alone() -> None:
    found = family_mismatch({"small": model(), "large": model("Qwen/Qwen3-235B-A22B-Instruct-2507")})
    assert len(found) == 1
    assert "chat template: qwen3 in tier small" in found[0]
    assert "--chat-template" in found[0]


def test_of_many_tiers_each_value_is_named_once() -> None:
    tiers = {"a": model(), "b": model("Qwen/Qwen3-8B"), "c": model("Qwen/Qwen3-32B", tokenizer="other")}
    assert family_mismatch(tiers) == (
        "the tiers' models differ in tokenizer: qwen3 in tier a (Qwen/Qwen3-4B), other in tier c (Qwen/Qwen3-32B); the"
        " same text has different token counts on them, so limits, prices and prompt caches do not carry over; choose"
        " models with one tokenizer",
    )


@pytest.mark.parametrize("field", ["tokenizer", "chat_template", "family"])
def test_unknown_is_no_mismatch(field: str) -> None:
    assert family_mismatch({"a": model(), "b": model(**{field: ""})}) == ()
    assert len(family_mismatch({"a": model(), "b": model(**{field: "other"})})) == 1


def test_tiers_without_a_known_model_and_single_tiers_are_silent() -> None:
    assert family_mismatch({}) == ()
    assert family_mismatch({"a": model(), "b": None}) == ()
    assert family_mismatch({"a": None, "b": None}) == ()


NAMES = st.sampled_from(["", "x", "y"])


@quick(100)
@given(st.lists(st.tuples(NAMES, NAMES, NAMES), max_size=5))
def test_as_many_sentences_as_names_that_differ(tiers: list[tuple[str, str, str]]) -> None:
    models = {f"t{n}": model(tokenizer=a, chat_template=b, family=c) for n, (a, b, c) in enumerate(tiers)}
    differing = sum(len({names[k] for names in tiers} - {""}) > 1 for k in range(3))
    assert len(family_mismatch(models)) == differing
