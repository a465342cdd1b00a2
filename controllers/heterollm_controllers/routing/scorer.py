"""The complexity of a request: the features of the score, their weights, and the same score as the router gives.

The router scores by itself (score/ in its module); everything the two must agree on is here and travels with the
policy: names, weights, what counts as much, and the signs that are searched. `score` is for trying weights
out on recorded requests.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from heterollm_controllers.routing.seen import MEASURES, read

__all__ = ["FEATURES", "SAMPLE", "Feature", "score", "told"]

SAMPLE = 2048
"""How much of the newest question is searched for signs (bytes): its beginning and its end, half of it each."""


@dataclass(frozen=True)
class Feature:
    """One thing measured of a request."""

    name: str
    weight: float
    """Share of the score, unless the policy says otherwise."""
    full: int
    """How much of it counts as 1; less counts in proportion, more does not count."""
    meaning: str
    signs: tuple[str, ...] = ()
    """Texts to search in the newest question, spelled as in JSON: a line break is a backslash and an n."""
    each: bool = False
    """Whether every time that a sign is there counts, instead of every sign that is there."""
    folded: bool = False
    """Whether the ASCII letters of the question are put in lower case before."""


_CODE = (
    "```", "();", "):", ") {", "=>", "->", "==", "!=", "&&", "||", "</", "#include", "SELECT ", "function ",
    "\\nimport ", "\\n    ",
)  # fmt: skip
_MATHS = (
    "$$", "\\\\frac", "\\\\sum", "\\\\int", "\\\\sqrt", "^2", "^n", "^{", "∑", "∫", "√", "∞", "≤", "≥", "≠", "≈", "∈",
    "∀", "∃", "→", "π", "²", "³", "×", "÷",
)  # fmt: skip
_REASONING = (
    "prove", "proof", "step by step", "derive", "explain why", "trade-off", "design a", "architect", "analy",
    "optimi", "debug", "refactor", "compare", "strategy",
    "证明", "推导", "分析", "设计", "为什么", "步骤", "优化", "比较", "规划",
    "démontr", "beweis", "demuestr", "докаж", "証明",
)  # fmt: skip
_ITEMS = tuple(f"\\n{mark}" for mark in ("- ", "* ", "• ", *"123456789"))

FEATURES = (
    Feature("length", 0.45, 8000, "bytes of text in all messages"),
    Feature("turns", 0.10, 20, "messages"),
    Feature("code", 0.40, 2, "signs of code in the newest question", _CODE),
    Feature("maths", 0.45, 2, "signs of mathematics in the newest question", _MATHS),
    Feature("reasoning", 0.55, 2, "words of planning and proof in the newest question", _REASONING, folded=True),
    Feature("items", 0.15, 5, "list items in the newest question", _ITEMS, each=True),
    Feature("lines", 0.15, 20, "line breaks in the newest question", ("\\n",), each=True),
    Feature("questions", 0.10, 4, "question marks in the newest question", ("?", "？", "؟"), each=True),
    Feature("tools", 0.10, 10, "tools offered"),
    Feature("structure", 0.05, 2, "form asked of the answer: any JSON is 1, a schema or a grammar 2"),
    Feature("effort", 0.75, 2, "reasoning effort asked for: medium is 1, high and more 2"),
    Feature("budget", 0.15, 8192, "tokens that the answer may have, if the request says it"),
    Feature("media", 0.0, 1, "images, recordings, films and files"),
)


def told(weights: Iterable[tuple[str, float]]) -> dict[str, object]:
    """What the router's scorer must know; features not named keep their own weight."""
    return {"sample": SAMPLE, "features": [_feature(feature, weight) for feature, weight in _weighed(dict(weights))]}


def score(body: Mapping[str, Any], weights: Mapping[str, float] | None = None) -> float:
    """Score in [0, 1] of a request's JSON body; features not named keep their own weight."""
    seen = read(body)
    text = _sample(seen.question)
    total = 0.0
    for feature, weight in _weighed(weights or {}):
        amount = _count(feature, text) if feature.signs else MEASURES[feature.name](seen)
        total += weight * _share(amount, feature.full)
    return max(0.0, min(1.0, total))


def _weighed(weights: Mapping[str, float]) -> list[tuple[Feature, float]]:
    return [(feature, weights.get(feature.name, feature.weight)) for feature in FEATURES]


def _feature(feature: Feature, weight: float) -> dict[str, object]:
    said: dict[str, object] = {"name": feature.name, "weight": weight, "full": feature.full}
    if feature.signs:
        said |= {"signs": list(feature.signs), "each": feature.each, "folded": feature.folded}
    return said


def _count(feature: Feature, text: bytes) -> int:
    searched = text.lower() if feature.folded else text
    counts = [searched.count(sign.encode()) for sign in feature.signs]
    return sum(counts) if feature.each else sum(count > 0 for count in counts)


def _sample(question: Iterable[str]) -> bytes:
    text = json.dumps("\n".join(question), ensure_ascii=False)[1:-1].encode("utf-8", "surrogatepass")
    return text if len(text) <= SAMPLE else text[: SAMPLE // 2] + text[-SAMPLE // 2 :]


def _share(amount: float, full: int) -> float:
    return max(0, min(full, amount)) / full
