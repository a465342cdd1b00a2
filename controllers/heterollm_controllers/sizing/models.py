"""The catalogue of models, read from data/models.json at first use.

An entry holds the keys of the model's config.json that sizing reads, so that the catalogue and a user's own
config.json go through the same reader; a variant names the entry that it is like and what differs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import lru_cache
from importlib.resources import files
from typing import Any

from heterollm_controllers.sizing.architecture import Architecture
from heterollm_controllers.sizing.hf_config import architecture_from

__all__ = ["Entry", "entry", "known_model", "model_ids", "nearest_models"]

_NEAREST = 3


@dataclass(frozen=True)
class Entry:
    """One model of the catalogue.

    Attributes:
        config: the keys of config.json that matter.
        family, tokenizer, chat_template: names that models have in common; empty when unknown.
        parameters: as published.
        source: where the figures are from.
    """

    config: Mapping[str, Any]
    family: str
    tokenizer: str
    chat_template: str
    parameters: float
    source: str


@lru_cache(maxsize=1)
def _written() -> dict[str, dict[str, Any]]:
    text = files(__package__).joinpath("data/models.json").read_text(encoding="utf-8")
    models: dict[str, dict[str, Any]] = json.loads(text)["models"]
    return models


@lru_cache(maxsize=1)
def _by_lower_case() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for model in _written():
        found[model.lower()] = (*found.get(model.lower(), ()), model)
    return found


def model_ids() -> tuple[str, ...]:
    """All ids of the catalogue, in its order."""
    return tuple(_written())


def entry(model_id: str) -> Entry:
    """The entry of an id of the catalogue, with what it takes over from the entry that it is like.

    Raises:
        KeyError: no such id.
    """
    merged = _merged(model_id)
    return Entry(
        merged["config"],
        merged.get("family", ""),
        merged.get("tokenizer", ""),
        merged.get("chatTemplate", ""),
        float(merged["parameters"]),
        merged["source"],
    )


def _merged(model_id: str) -> dict[str, Any]:
    own = _written()[model_id]
    if "like" not in own:
        return own
    base = _merged(own["like"])
    return {**base, **own, "config": {**base["config"], **own.get("config", {})}}


def known_model(model_id: str) -> Architecture | None:
    """The architecture of a model of the catalogue, or None; upper and lower case may differ where that is unique."""
    written = _written()
    if model_id not in written:
        others = _by_lower_case().get(model_id.lower(), ())
        if len(others) != 1:
            return None
        model_id = others[0]
    return _architecture(model_id)


@lru_cache(maxsize=256)
def _architecture(model_id: str) -> Architecture:
    found = entry(model_id)
    return replace(
        architecture_from(model_id, found.config),
        family=found.family,
        tokenizer=found.tokenizer,
        chat_template=found.chat_template,
    )


def nearest_models(model_id: str) -> tuple[str, ...]:
    """Ids of the catalogue that look like the given one, the nearest first; for messages."""
    lower = _by_lower_case()
    names = {full.rpartition("/")[2]: full for full in lower}
    wanted = model_id.lower()
    close = get_close_matches(wanted, lower, _NEAREST, cutoff=0.6)
    close += [names[name] for name in get_close_matches(wanted.rpartition("/")[2], names, _NEAREST, cutoff=0.6)]
    return tuple(model for full in dict.fromkeys(close) for model in lower[full])[:_NEAREST]
