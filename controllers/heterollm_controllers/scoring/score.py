"""The complexity of a request: the features of the score, their weights, and the same score as the router gives.

The router scores by itself (score/ in its module); everything the two must agree on is here and travels with the
policy: names, weights, what counts as much, and the signs that are searched. `score` is for trying weights
out on recorded requests.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from heterollm_controllers.api.features import FEATURES, Feature
from heterollm_controllers.scoring.request_features import MEASURES, request_features

__all__ = ["SAMPLE", "score", "scorer_config"]

SAMPLE = 2048
"""How much of the newest question is searched for signs (bytes): its beginning and its end, half of it each."""


def scorer_config(weights: Iterable[tuple[str, float]]) -> dict[str, object]:
    """What the router's scorer must know; features not named keep their own weight."""
    return {"sample": SAMPLE, "features": [_feature(feature, weight) for feature, weight in _weighed(dict(weights))]}


def score(body: Mapping[str, Any], weights: Mapping[str, float] | None = None) -> float:
    """Score in [0, 1] of a request's JSON body; features not named keep their own weight."""
    seen = request_features(body)
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
