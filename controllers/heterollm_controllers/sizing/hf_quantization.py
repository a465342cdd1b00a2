"""The quantization of a checkpoint, from the `quantization_config` of its config.json."""

from __future__ import annotations

from collections.abc import Callable

from heterollm_controllers.sizing.architecture import Quantization
from heterollm_controllers.sizing.hf_values import Values

__all__ = ["quantization_of"]

_BLOCK = (128, 128)


def quantization_of(config: Values) -> Quantization | None:
    """The quantization, or None for a checkpoint in full precision.

    Raises:
        UnreadableConfig: a method that SGLang does not serve or this reader does not know.
    """
    values = config.part("quantization_config") or config.part("compression_config")
    if values is None:
        return None
    method = values.text("quant_method") or ("modelopt" if values.has("quant_algo") else "")
    reader = _READERS.get(method)
    if reader is None:
        raise values.unreadable(
            f"quant_method is {method[:40]!r}, but sizing knows {', '.join(sorted(_READERS))} and models without one"
        )
    return reader(values)


def _fp8(values: Values) -> Quantization:
    block = values.wholes("weight_block_size")
    if block is None:
        return Quantization("fp8", 8)
    if len(block) != 2 or not all(block):
        raise values.unreadable("weight_block_size must have two numbers above 0, such as [128, 128]")
    return Quantization("fp8", 8, block=(block[0], block[1]))


def _grouped(method: str) -> Callable[[Values], Quantization]:
    """AWQ and GPTQ: weights in groups, each with a scale; a group of -1 is a whole row."""

    def read(values: Values) -> Quantization:
        bits = values.whole("bits", values.whole("w_bit", 4))
        group = values.whole("group_size", values.whole("q_group_size", 128, least=-1), least=-1)
        return Quantization(method, bits, group=max(0, group), only_experts=_spares_attention(values))

    return read


def _compressed_tensors(values: Values) -> Quantization:
    """The group of layers with the most bits, as one that is too small would promise memory that is not there."""
    groups = values.part("config_groups")
    found = [_compressed_group(group) for group in groups.parts()] if groups else []
    weights = [one for one in found if one is not None]
    if not weights:
        raise values.unreadable("config_groups has no group with weights; sizing needs their num_bits")
    widest = max(weights, key=lambda one: one.bits)
    return Quantization(widest.method, widest.bits, widest.block, widest.group, only_experts=_spares_attention(values))


def _compressed_group(group: Values) -> Quantization | None:
    weights = group.part("weights")
    if weights is None:
        return None
    bits = weights.whole("num_bits")
    if bits > 8:
        raise weights.unreadable(f"num_bits is {bits}, but compressed-tensors weights have at most 8")
    block = weights.wholes("block_structure")
    if weights.text("strategy") == "block":
        rows_columns = (block[0], block[1]) if block and len(block) == 2 and all(block) else _BLOCK
        return Quantization("compressed-tensors", bits, block=rows_columns)
    return Quantization("compressed-tensors", bits, group=max(0, weights.whole("group_size", 0, least=-1)))


def _mxfp4(values: Values) -> Quantization:
    return Quantization("mxfp4", 4, group=32, only_experts=_spares_attention(values))


def _modelopt(values: Values) -> Quantization:
    """NVIDIA's Model Optimizer; the same keys stand in hf_quant_config.json, under "quantization"."""
    algorithm = values.text("quant_algo")
    found = _MODELOPT.get(algorithm)
    if found is None:
        raise values.unreadable(f"quant_algo is {algorithm[:40]!r}, but sizing knows {', '.join(sorted(_MODELOPT))}")
    method, bits, group = found
    fp8_kv = _asks_for_fp8_kv(values)
    return Quantization(method, bits, group=group, only_experts=_spares_attention(values), fp8_kv_cache=fp8_kv)


def _asks_for_fp8_kv(values: Values) -> bool:
    """Newer files hold a scheme as an object, older ones a word."""
    if "FP8" in values.strings_in("kv_cache_quant_algo") + values.strings_in("kv_cache_scheme"):
        return True
    scheme = values.part("kv_cache_scheme") if not values.strings_in("kv_cache_scheme") else None
    return scheme is not None and scheme.text("type") == "float" and scheme.whole("num_bits") == 8


_MODELOPT = {"FP8": ("modelopt_fp8", 8, 0), "NVFP4": ("modelopt_fp4", 4, 16), "MXFP8": ("mxfp8", 8, 32)}

_SPARED = ("ignore", "modules_to_not_convert", "exclude_modules", "ignored_layers")


def _spares_attention(values: Values) -> bool:
    """Whether the list of modules that stay in full precision names attention: then only experts are quantised."""
    return any("self_attn" in module for key in _SPARED for module in values.strings_in(key))


_READERS: dict[str, Callable[[Values], Quantization]] = {
    "fp8": _fp8,
    "awq": _grouped("awq"),
    "gptq": _grouped("gptq"),
    "compressed-tensors": _compressed_tensors,
    "mxfp4": _mxfp4,
    "modelopt": _modelopt,
    "modelopt_fp8": _modelopt,
    "modelopt_fp4": _modelopt,
}
