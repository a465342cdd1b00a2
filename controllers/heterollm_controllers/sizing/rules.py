"""Which splits of an engine SGLang can run, and why not the others.

SGLang's resolver refuses some of these with an assertion, others fail only while the weights load, or even later;
all of them are refused here, with the arithmetic. `broken` is checked against SGLang in tests/sizing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

from heterollm_controllers.sizing.accelerators import Gpu
from heterollm_controllers.sizing.architecture import Architecture
from heterollm_controllers.sizing.plan import Split

__all__ = ["A2A_SPANS_ALL", "LONGER_CONTEXT", "broken", "launch_refusal"]

A2A_SPANS_ALL = ("deepep", "mooncake", "nixl", "mori", "ascend_fuseep", "flashinfer", "megamoe")
"""All-to-all backends that make the expert-parallel size the tensor-parallel size, whatever was asked for."""


LONGER_CONTEXT = "SGLANG_ALLOW_OVERWRITE_LONGER_CONTEXT_LEN"


@lru_cache(maxsize=8192)
def broken(model: Architecture, gpu: Gpu, split: Split, nodes: int) -> str | None:
    """The first reason why the model cannot run so; None when it can."""
    return next((message for rule in _RULES for message in rule(model, gpu, split, nodes)), None)


def launch_refusal(model: Architecture, context: int | None, chunk: int | None, page: int) -> str | None:
    """Why SGLang refuses what is asked whatever the split; None when it does not.

    Args:
        context: tokens asked for, None for the model's own.
        chunk: tokens of a prefill step asked for, before attention DP divides them.
        page: tokens of a KV page.
    """
    if context is not None and context > model.context:
        return (
            f"context length {context:,} exceeds the {model.context:,} tokens that {model.model} was made for; set the"
            f" environment variable {LONGER_CONTEXT}=1 in engine.env to run it all the same"
        )
    if chunk is not None and chunk > 0 and chunk % page:
        return f"--chunked-prefill-size {chunk} is no multiple of the page size {page}"
    return None


def _nodes(model: Architecture, gpu: Gpu, split: Split, nodes: int) -> Iterator[str]:
    if split.gpus % nodes:
        yield f"{split.gpus} GPUs do not divide over {nodes} nodes"
    if split.pipeline > model.layers:
        yield f"{split.pipeline} pipeline stages are more than the model's {model.layers} layers"
    if split.pipeline > 1 and not model.pipeline:
        yield f"SGLang's {model.name} has no pipeline parallelism; set it to 1"


def _attention_dp(model: Architecture, gpu: Gpu, split: Split, nodes: int) -> Iterator[str]:
    if split.tensor % split.attention_dp:
        yield (
            f"attention DP {split.attention_dp} does not divide the tensor-parallel size {split.tensor}"
            f" ({split.tensor} / {split.attention_dp} = {split.tensor / split.attention_dp:.2f});"
            f" choose a divisor of {split.tensor}"
        )
    if split.attention_dp > 1 and not model.attention_dp:
        yield f"SGLang's {model.name} has no attention data parallelism; set it to 1"


def _heads(model: Architecture, gpu: Gpu, split: Split, nodes: int) -> Iterator[str]:
    tensor = split.attention_tensor
    if model.heads % tensor:
        yield (
            f"{model.heads} attention heads do not divide over {tensor} GPUs"
            f" ({model.heads} / {tensor} = {model.heads / tensor:.2f})"
        )
    if not model.latent and model.kv_heads % tensor and tensor % model.kv_heads:
        yield f"{model.kv_heads} KV heads and {tensor} GPUs of one attention replica do not divide each other"


def _experts(model: Architecture, gpu: Gpu, split: Split, nodes: int) -> Iterator[str]:
    experts = model.experts
    if experts is None:
        if split.expert > 1:
            yield f"{model.model} has no experts: expert parallelism {split.expert} cannot be used"
        return
    if split.tensor % split.expert:
        yield (
            f"EP {split.expert} does not divide the tensor-parallel size {split.tensor}"
            f" ({split.tensor} / {split.expert} = {split.tensor / split.expert:.2f});"
            f" choose a divisor of {split.tensor}"
        )
        return
    if experts.count % split.expert:
        yield f"{experts.count} experts do not divide over EP {split.expert}"
    if split.moe_tensor > experts.count:
        yield f"MoE tensor parallelism {split.moe_tensor} exceeds the model's {experts.count} experts"
    if not (gpu.blackwell and experts.intermediate % split.moe_tensor == 0):  # kernels there pad the blocks of experts
        hint = f"raise EP above {split.expert}"
        yield from _width("expert", experts.intermediate, split.moe_tensor, model, hint, True)


def _mlp(model: Architecture, gpu: Gpu, split: Split, nodes: int) -> Iterator[str]:
    if split.moe_dense not in (None, 1, split.tensor):
        yield f"--moe-dense-tp-size must be 1 or the tensor-parallel size {split.tensor}, not {split.moe_dense}"
    if model.experts is None or model.experts.layers < model.layers:
        hint = "lower the tensor-parallel size" + ("" if model.experts is None else ", or set --moe-dense-tp-size 1")
        yield from _width("MLP", model.intermediate, split.mlp_tensor, model, hint, False)
    if model.experts and model.experts.shared_intermediate and split.a2a == "none":
        hint = "lower the tensor-parallel size"
        yield from _width("shared expert", model.experts.shared_intermediate, split.tensor, model, hint, False)


def _width(part: str, width: int, tensor: int, model: Architecture, hint: str, expert: bool) -> Iterator[str]:
    """A width that is cut `tensor` ways, in whole blocks (or groups) of the quantisation."""
    if width % tensor:
        yield f"{part} width {width} does not divide over {tensor} GPUs ({width / tensor:.2f}); {hint}"
        return
    quantization = model.quantization
    if quantization is None or tensor == 1 or (quantization.only_experts and not expert):
        return
    block = quantization.block[0] if quantization.block else 0
    if block and (width // tensor) % block:
        yield (
            f"{part} width {width} over {tensor} GPUs is {width // tensor}, which is no multiple of the"
            f" {block}-wide blocks of the model's {quantization.method.upper()} weights; {hint}"
        )
    elif quantization.group and quantization.method != "mxfp4" and (width // tensor) % quantization.group:
        yield (
            f"{part} width {width} over {tensor} GPUs is {width // tensor}, which is no multiple of the groups of"
            f" {quantization.group} of the model's {quantization.method.upper()} weights; {hint}"
        )


def _attention_blocks(model: Architecture, gpu: Gpu, split: Split, nodes: int) -> Iterator[str]:
    block = model.quantization.block if model.quantization else None
    if block is None or model.latent or split.attention_tensor == 1:
        return
    width = model.heads // split.attention_tensor * model.head_dim
    if width % block[1]:
        yield (
            f"attention width {width} per GPU is no multiple of the {block[1]}-wide blocks of the model's FP8"
            f" weights; lower the tensor-parallel size or raise attention DP"
        )


_RULES: tuple[Callable[[Architecture, Gpu, Split, int], Iterator[str]], ...] = (
    _nodes,
    _attention_dp,
    _heads,
    _experts,
    _mlp,
    _attention_blocks,
)
