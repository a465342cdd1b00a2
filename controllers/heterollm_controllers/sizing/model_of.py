"""The architecture of a tier's model: from the spec, from a ConfigMap, or from the catalogue."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from heterollm_controllers.api.v1alpha1.model import ConfigMapKey, Model
from heterollm_controllers.sizing.architecture import Architecture
from heterollm_controllers.sizing.hf_config import UnreadableConfig, architecture_from
from heterollm_controllers.sizing.models import known_model

__all__ = ["architecture_of"]

_MOST_KIB = 256
"""Largest config.json taken, in KiB. Bounds what the cache can hold; only lists of modules make one this large."""


def architecture_of(model: Model, config_maps: Mapping[str, Mapping[str, str]]) -> Architecture | None:
    """What is known of a tier's model; a stated config wins over the catalogue.

    Args:
        model: the model of the spec.
        config_maps: data of the cluster's ConfigMaps, by name.

    Returns:
        The architecture, or None when no config is stated and the catalogue does not have the id.

    Raises:
        UnreadableConfig: the stated config is missing, is not JSON, or describes what sizing cannot use.
    """
    if model.config is not None:
        return _read(model.id, _text(model.id, model.config))
    if model.config_map is not None:
        return _read(model.id, _from_config_map(model.id, model.config_map, config_maps))
    return known_model(model.id)


def _text(model_id: str, config: Mapping[str, Any]) -> str:
    try:
        return json.dumps(config, sort_keys=True)
    except (TypeError, ValueError, RecursionError) as error:
        raise UnreadableConfig(f"config of {model_id}: it is not JSON ({error})") from error


def _from_config_map(model_id: str, wanted: ConfigMapKey, config_maps: Mapping[str, Mapping[str, str]]) -> str:
    data = config_maps.get(wanted.name)
    if data is None:
        raise UnreadableConfig(
            f"config of {model_id}: there is no ConfigMap {wanted.name} with the label of this cluster"
        )
    if wanted.key not in data:
        keys = ", ".join(sorted(data)[:5]) or "none"
        raise UnreadableConfig(
            f"config of {model_id}: ConfigMap {wanted.name} has no key {wanted.key}; its keys are {keys}"
        )
    return data[wanted.key]


def _read(model_id: str, text: str) -> Architecture:
    if len(text) > _MOST_KIB * 1024:
        raise UnreadableConfig(
            f"config of {model_id}: it has more than {_MOST_KIB} KiB; leave out long lists of modules, such as those"
            " of quantization_config"
        )
    found = _converted(model_id, text)
    if isinstance(found, str):
        raise UnreadableConfig(found)
    return found


@lru_cache(maxsize=128)
def _converted(model_id: str, text: str) -> Architecture | str:
    """The architecture, or what is wrong with the text: mistakes are looked at as often as good configs."""
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        return f"config of {model_id}: it is not JSON ({error})"
    if not isinstance(config, Mapping):
        return f"config of {model_id}: it must be a JSON object, the content of config.json"
    try:
        return _named(architecture_from(model_id, config))
    except UnreadableConfig as error:
        return str(error)


def _named(architecture: Architecture) -> Architecture:
    """With the names that the catalogue has for the id, as no config.json says which tokenizer a model uses."""
    known = known_model(architecture.model)
    if known is None:
        return architecture
    return replace(architecture, family=known.family, tokenizer=known.tokenizer, chat_template=known.chat_template)
