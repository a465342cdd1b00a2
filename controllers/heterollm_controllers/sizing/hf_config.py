"""From a Hugging Face config.json to an `Architecture`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from heterollm_controllers.sizing.architecture import Architecture, Experts, LatentAttention
from heterollm_controllers.sizing.hf_classes import CLASSES, ModelClass, MoeKeys, class_of_model_type
from heterollm_controllers.sizing.hf_quantization import quantization_of
from heterollm_controllers.sizing.hf_values import UnreadableConfig, Values
from heterollm_controllers.sizing.hf_vision import vision_of

__all__ = ["UnreadableConfig", "architecture_from"]


def architecture_from(model_id: str, config: Mapping[str, Any]) -> Architecture:
    """What sizing needs to know of the model that a config.json describes.

    Args:
        model_id: the model's id, for the result and for messages.
        config: the parsed config.json.

    Raises:
        UnreadableConfig: a class that sizing does not know, or a key that is missing or strange.
    """
    where = f"config of {model_id}"
    outer = Values(where, config)
    name = _class_name(outer)
    facts = CLASSES[name]
    inner = _language_part(outer, config, facts)
    values = Values(where, {**facts.defaults, **inner})
    return _architecture(model_id, name, facts, values, outer)


def _class_name(config: Values) -> str:
    names = config.texts("architectures") or (class_of_model_type(config.text("model_type")),)
    if names[0] in CLASSES:
        return names[0]
    found = names[0][:80] or config.text("model_type")[:80]
    problem = f"architecture {found} is not one that sizing knows" if found else "architectures is missing"
    raise config.unreadable(f"{problem}; it knows {', '.join(CLASSES)}")


def _language_part(outer: Values, config: Mapping[str, Any], facts: ModelClass) -> Mapping[str, Any]:
    if not facts.in_text_config:
        return config
    if outer.part("text_config") is None:
        raise outer.unreadable("text_config is missing; models with a vision part describe the language model there")
    inner: Mapping[str, Any] = config["text_config"]
    return inner


def _architecture(model_id: str, name: str, facts: ModelClass, config: Values, outer: Values) -> Architecture:
    layers = config.whole("num_hidden_layers")
    hidden = config.whole("hidden_size")
    heads = config.whole("num_attention_heads")
    experts = _experts(config, facts.moe, layers) if facts.moe else None
    dense_layers = layers - (experts.layers if experts else 0)
    dense_width = facts.moe.dense_width if facts.moe else "intermediate_size"
    window, sliding = facts.windows(config, layers)
    return Architecture(
        model=model_id,
        name=name,
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=heads if facts.latent else _kv_heads(config, heads),
        head_dim=_head_dim(config, facts, hidden, heads),
        intermediate=config.whole(dense_width) if dense_layers else 0,
        vocabulary=config.whole("vocab_size"),
        tied=outer.flag("tie_word_embeddings", config.flag("tie_word_embeddings", facts.tied)),
        context=_context(config, facts),
        attention_bias=_flag(config, facts.bias),
        qk_norm=_flag(config, facts.qk_norm),
        sliding_window=window,
        sliding_layers=sliding,
        sliding_pool=facts.sliding_pool and sliding > 0,
        attention_dp=facts.attention_dp,
        experts=experts,
        latent=_latent(config) if facts.latent else None,
        quantization=quantization_of(outer) or quantization_of(config),
        vision=vision_of(outer, facts.images) if facts.in_text_config else None,
        family=facts.family,
        pipeline=facts.pipeline,
        rotary_dim=_rotary_dim(config),
        rotary_tables=facts.rotary_tables,
        whole_embedding=facts.whole_embedding,
        router_bytes=facts.router_bytes,
    )


def _flag(config: Values, fact: bool | tuple[str, bool]) -> bool:
    return fact if isinstance(fact, bool) else config.flag(*fact)


def _kv_heads(config: Values, heads: int) -> int:
    kv_heads = config.whole("num_key_value_heads", heads)
    if heads % kv_heads:
        raise config.unreadable(f"num_attention_heads {heads} is not a multiple of num_key_value_heads {kv_heads}")
    return kv_heads


def _head_dim(config: Values, facts: ModelClass, hidden: int, heads: int) -> int:
    """Of latent attention, the width of a query; it has its own keys and head_dim means something else there."""
    if facts.latent:
        return config.whole("qk_nope_head_dim", 128) + config.whole("qk_rope_head_dim", 64)
    if not config.has("head_dim") and hidden % heads:
        raise config.unreadable(
            f"head_dim is missing and hidden_size {hidden} is not a multiple of num_attention_heads {heads}"
        )
    return config.whole("head_dim", max(1, hidden // heads))


def _latent(config: Values) -> LatentAttention:
    return LatentAttention(
        # Null means that queries are not compressed, so it must not be taken for a missing key.
        q_lora_rank=config.whole("q_lora_rank", 0, least=0),
        kv_lora_rank=config.whole("kv_lora_rank"),
        qk_nope_head_dim=config.whole("qk_nope_head_dim"),
        qk_rope_head_dim=config.whole("qk_rope_head_dim"),
        v_head_dim=config.whole("v_head_dim"),
    )


def _experts(config: Values, keys: MoeKeys, layers: int) -> Experts | None:
    moe_layers = keys.layers(config, layers)
    if not moe_layers:
        return None
    count = config.whole(keys.count)
    active = config.whole("num_experts_per_tok")
    if active > count:
        raise config.unreadable(f"num_experts_per_tok {active} is more than {keys.count} {count}")
    width = config.whole(keys.width)
    return Experts(count, active, width, _shared_width(config, keys, width), moe_layers, keys.bias)


def _shared_width(config: Values, keys: MoeKeys, width: int) -> int:
    if keys.shared_width:
        return config.whole(keys.shared_width, least=0)
    if keys.shared_count:
        return width * config.whole(keys.shared_count, 0, least=0)
    return width if keys.one_shared else 0


def _rotary_dim(config: Values) -> int:
    """Width of the rotary part of a head, where it is stated; 0 for all of it."""
    if config.has("rotary_dim"):
        return config.whole("rotary_dim")
    factor = config.number("partial_rotary_factor", 1.0, most=1)
    return int(config.whole("head_dim", 0) * factor) if factor < 1 else 0


def _context(config: Values, facts: ModelClass) -> int:
    """As SGLang derives it: positions, times a scaling factor unless the positions are already the scaled ones."""
    positions = config.whole("max_position_embeddings")
    scaling = config.part("rope_scaling") or config.part("rope_parameters")
    if scaling is None or scaling.has("original_max_position_embeddings") or not facts.factor_extends:
        return positions
    kind = scaling.text("rope_type") or scaling.text("type")
    return positions if kind in _SCALED_ALREADY else int(positions * scaling.number("factor", 1.0, most=1024))


_SCALED_ALREADY = ("llama3", "yarn", "longrope")
"""With these, transformers takes max_position_embeddings for the original context when the config has no other."""
