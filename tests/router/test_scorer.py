"""The scorer itself, and the page that explains it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heterollm_controllers.api.features import FEATURES
from heterollm_controllers.api.v1alpha1.routing import Routing
from heterollm_controllers.routing.ir import RoutingPolicy
from heterollm_controllers.scoring.score import score, scorer_config

PAGE = Path(__file__).parents[2] / "docs" / "routing.md"
THRESHOLD = RoutingPolicy("c", ()).complexity_threshold
TOOLS = [{"type": "function", "function": {"name": name}} for name in "abcdefgh"]
RUST = "pub struct Tree<K, V> { root: Option<Box<Node<K, V>>> }\nfn f() -> bool { a == b && c != d }"

SIMPLE: tuple[tuple[str, dict[str, Any]], ...] = (
    ("hello", {}),
    ("What's the capital of France?", {}),
    ("今天天气怎么样？", {}),
    ("Translate to German: The meeting is at noon.", {}),
    ("把下面的句子翻译成英文：我喜欢在周末去爬山。", {}),
    ("Extract the address from: write to bob@example.org.", {"response_format": {"type": "json_object"}}),
    ("Summarise in one sentence: " + "The town lies by the river. " * 60, {}),
    ("Set the thermostat to 21 degrees", {"tools": TOOLS}),
    ("What does `git status` do?", {"max_tokens": 200}),
    ("What does this do?\ndef add(a, b): return a + b", {}),
    ("What is 2^10?", {}),
)
COMPLEX: tuple[tuple[str, dict[str, Any]], ...] = (
    ("Prove step by step that infinitely many primes are p ≡ 3 (mod 4), and that π(x) ≥ log x.", {}),
    (
        "Design a rate limiter. Compare two ways and discuss trade-offs:\n1. latency\n2. failures\n3. cost\n4. load",
        {},
    ),
    (
        "请设计一个分布式锁服务，分析其权衡，比较三种方案，并证明其安全性：\n1. 容错\n2. 延迟\n3. 成本\n4. 扩展",
        {},
    ),
    (
        "Debug why this deadlocks and refactor it:\n```python\n"
        + "class A:\n    def f(self):\n        self.g()\n" * 20,
        {},
    ),
    ("Find the integral ∫ x² e^{-x²} dx from 0 to ∞ and prove that it converges.", {}),
    (
        "Implement this tree; analyse each function.\n- no unsafe\n- generic\n- with tests\n```rust\n" + RUST + "\n```",
        {},
    ),
    ("Think hard.", {"reasoning_effort": "high"}),
)


def asked(text: str, more: dict[str, Any]) -> dict[str, Any]:
    """A chat request."""
    return {"model": "auto", "messages": [{"role": "user", "content": text}], **more}


@pytest.mark.parametrize(("text", "more"), SIMPLE)
def test_everyday_requests_stay_well_below_the_threshold(text: str, more: dict[str, Any]) -> None:
    assert score(asked(text, more)) < THRESHOLD / 2


@pytest.mark.parametrize(("text", "more"), COMPLEX)
def test_plans_proofs_and_programs_are_above_it(text: str, more: dict[str, Any]) -> None:
    assert score(asked(text, more)) > THRESHOLD


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)
    )
)
def test_a_score_is_from_0_to_1_whatever_the_fields_hold(value: object) -> None:
    names = (
        "messages",
        "input",
        "prompt",
        "instructions",
        "tools",
        "max_tokens",
        "response_format",
        "reasoning",
        "text",
    )
    assert 0 <= score(dict.fromkeys(names, value), {feature.name: 1.0 for feature in FEATURES}) <= 1


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: str(feature.name))
def test_every_feature_can_be_weighed_alone(feature: Any) -> None:
    body = {
        "messages": [
            {"role": "user", "content": "Prove:\n1. ```f();```\n- ∑ 1/n²?" + "\n1. x" * 20 + "?" * 9 + " derive" * 2000}
        ]
        * 20,
        "tools": TOOLS * 2,
        "response_format": {"type": "json_schema"},
        "reasoning_effort": "max",
        "max_tokens": 100_000,
        "input": [{"content": {"type": "input_image"}}],
    }
    alone = {each.name: 0.0 for each in FEATURES} | {feature.name: 0.25}
    assert score(body, alone) == 0.25
    assert score({"messages": []}, alone) == 0.0


def test_weights_that_are_not_named_stay() -> None:
    sent = json.loads(json.dumps(scorer_config((("media", 0.8),))))
    weights = {feature["name"]: feature["weight"] for feature in sent["features"]}
    assert weights == {feature.name: feature.weight for feature in FEATURES} | {"media": 0.8}


def test_a_spec_can_name_every_feature() -> None:
    every = {feature.name: "0.5" for feature in FEATURES}
    assert Routing.model_validate({"scorerWeights": every}).scorer_weights == dict.fromkeys(every, 0.5)


def test_the_page_has_the_features_and_their_weights() -> None:
    rows = [f"| `{each.name}` | {each.weight} | {each.full} | {each.meaning} |" for each in FEATURES]
    assert "\n".join(("|---|---|---|---|", *rows, "")) in PAGE.read_text(encoding="utf-8")
