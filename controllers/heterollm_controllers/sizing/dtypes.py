"""Bytes of the types that flags name: of the KV cache, of the weights, and of weights quantised as they are loaded.

By SGLang 0.5.23's own sources. Each table is all that sizing knows: a name that is not in it is refused, never guessed.
"""

from __future__ import annotations

from dataclasses import replace

from heterollm_controllers.api.errors import Impossible
from heterollm_controllers.api.vocabulary import Reason
from heterollm_controllers.sizing.architecture import Architecture, Quantization

__all__ = ["BLACKWELL_ONLY", "check_kv_dtype", "group_scale_bytes", "kv_bytes", "loaded"]

_BLOCK_16 = 4 / 8 + 1 / 16
"""Four bits a number, and one byte of scale for 16 of them."""

_KV_BYTES = {
    "bf16": 2.0,
    "bfloat16": 2.0,
    "fp8_e4m3": 1.0,
    "fp8_e5m2": 1.0,
    "mxfp8": 1.0 + 1 / 32,
    "nvfp4": _BLOCK_16,
    "fp4_mx_block16": _BLOCK_16,
    "fp4_e2m1": _BLOCK_16,
}
"""Bytes of one number with its scale, by SGLang's name. Some attention backends unpack one layer beside that."""
_LATENT_KV_BYTES = {**_KV_BYTES, "mxfp8": 1.0}
"""The same of latent attention, for which SGLang reckons no scales of MXFP8."""

BLACKWELL_ONLY = ("nvfp4",)
"""Types of the KV cache that SGLang supports on NVIDIA's Blackwell alone."""

_GROUP_SCALE_BYTES = {
    "mxfp4": 1.0,
    "quark_mxfp4": 1.0,
    "mxfp8": 1.0,
    "modelopt_fp4": 1.0,
    "nvfp4_online": 1.0,
    "bitsandbytes": 4.0,
}
"""Bytes of the scale of one group, where it is not an FP16 scale and a zero point."""

_FULL_PRECISION = ("float", "float32")

_AS_LOADED = {
    "fp8": Quantization("fp8", 8),
    "w8a8_fp8": Quantization("w8a8_fp8", 8),
    "w8a8_int8": Quantization("w8a8_int8", 8),
    "mxfp8": Quantization("mxfp8", 8, group=32),
    "modelopt": Quantization("modelopt_fp8", 8),
    "modelopt_fp8": Quantization("modelopt_fp8", 8),
    "modelopt_mixed": Quantization("modelopt_mixed", 8),
    "bitsandbytes": Quantization("bitsandbytes", 4, group=64),
    "modelopt_fp4": Quantization("modelopt_fp4", 4, group=16, only_experts=True),
    "nvfp4_online": Quantization("nvfp4_online", 4, group=16, only_experts=True),
    "mxfp4": Quantization("mxfp4", 4, group=32, only_experts=True),
    "quark_mxfp4": Quantization("quark_mxfp4", 4, group=32, only_experts=True),
    "quark_int4fp8_moe": Quantization("quark_int4fp8_moe", 4, only_experts=True),
}
"""What --quantization makes of a checkpoint in full precision; of experts alone where that leaves open what it is."""
_NONE = ("unquant",)

_FROM_CHECKPOINT = "reads how the weights are quantised from the checkpoint, and the model's config says nothing of it"
_REFUSED = {
    **dict.fromkeys(
        (
            *("auto-round", "auto-round-int8", "awq", "awq_marlin", "compressed-tensors", "gptq", "gptq_marlin"),
            *("humming", "marlin", "modelslim", "moe_wna16", "mxfp_w4a8", "petit_nvfp4", "quark", "w4afp8"),
        ),
        f"{_FROM_CHECKPOINT}; give its config.json, with quantization_config, in model.config or model.configMap",
    ),
    "gguf": "loads a file whose weights have any number of bits, which sizing does not read; fix engine.gpus and leave"
    " model.config out, with an id that is not in the catalogue",
    **dict.fromkeys(("mlx_q4", "mlx_q8"), "runs on Apple's GPUs alone"),
}
"""Why a method cannot be sized for a checkpoint in full precision."""


def check_kv_dtype(kv_dtype: str) -> None:
    """Raises Impossible for a type of which the size is not known."""
    if kv_dtype != "auto" and kv_dtype not in _KV_BYTES:
        raise Impossible(
            Reason.INVALID_FLAGS,
            f"--kv-cache-dtype {kv_dtype}: sizing does not know how many bytes it takes; it knows auto,"
            f" {', '.join(_KV_BYTES)}",
        )


def kv_bytes(kv_dtype: str, model: Architecture) -> float:
    """Bytes of one number in the KV cache, its share of scales included."""
    if kv_dtype == "auto":
        follows = model.quantization is not None and model.quantization.fp8_kv_cache
        return 1 if follows else model.bytes_per_weight
    return (_LATENT_KV_BYTES if model.latent else _KV_BYTES)[kv_dtype]


def group_scale_bytes(quantization: Quantization) -> float:
    """Bytes that go with each group of weights: the scale, and the zero point where there is one."""
    return _GROUP_SCALE_BYTES.get(quantization.method, 2 + quantization.bits / 8)


def loaded(model: Architecture, dtype: str | None, quantization: str | None) -> Architecture:
    """The model as SGLang loads it with --dtype and --quantization; a quantised checkpoint stays as it is.

    Raises:
        Impossible: a method that needs more of the checkpoint than is known, or that sizing does not know.
    """
    if model.quantization is not None:
        return model
    if dtype in _FULL_PRECISION:
        model = replace(model, bytes_per_weight=4)
    if quantization is None or quantization in _NONE:
        return model
    method = _AS_LOADED.get(quantization)
    if method is None:
        why = _REFUSED.get(quantization, f"is not known to sizing, which knows {', '.join((*_NONE, *_AS_LOADED))}")
        raise Impossible(Reason.INVALID_FLAGS, f"--quantization {quantization} {why}")
    return replace(model, quantization=method)
