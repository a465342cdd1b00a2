"""The launches that the oracle is asked about: models, GPUs and flags, valid and invalid."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONFIGS: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "configs.json").read_text())

QWEN_4B = "Qwen/Qwen3-4B"
QWEN_30B = "Qwen/Qwen3-30B-A3B"
QWEN_235B = "Qwen/Qwen3-235B-A22B"
QWEN_235B_FP8 = "Qwen/Qwen3-235B-A22B-FP8"
LLAMA_8B = "meta-llama/Llama-3.1-8B-Instruct"
LLAMA_70B = "meta-llama/Llama-3.1-70B-Instruct"
MIXTRAL = "mistralai/Mixtral-8x7B-Instruct-v0.1"
DEEPSEEK = "deepseek-ai/DeepSeek-V3"
GPT_OSS = "openai/gpt-oss-120b"
GEMMA = "google/gemma-2-9b-it"
GEMMA_VISION = "google/gemma-3-12b-it"
KIMI = "moonshotai/Kimi-K2-Instruct"
MINIMAX = "MiniMaxAI/MiniMax-M2"
HUGE = (QWEN_235B, QWEN_235B_FP8, DEEPSEEK, KIMI, MINIMAX)
MIXTURES = (QWEN_30B, QWEN_235B, QWEN_235B_FP8, MIXTRAL, DEEPSEEK, GPT_OSS)

GPUS_PER_NODE = 8

Flags = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One launch; a flag whose value is True is a switch."""

    model: str
    gpu: str
    flags: Flags

    @property
    def key(self) -> str:
        """Names the case and sorts the recorded file."""
        return " ".join([self.model, self.gpu, *arguments(dict(sorted(self.flags.items())))])


def arguments(flags: Flags) -> list[str]:
    """The flags as a command line."""
    words: list[str] = []
    for name, value in flags.items():
        words += [name] if value is True else [name, str(value)]
    return words


def parallel(tp: int, **more: Any) -> Flags:
    """Flags of a tensor-parallel engine over as few nodes of eight GPUs as it needs; `attn_dp_size=2` and so on."""
    flags: Flags = {"--tp-size": tp}
    gpus = tp * int(more.get("pp_size", 1))
    if gpus > GPUS_PER_NODE and "nnodes" not in more:
        flags |= {"--nnodes": gpus // GPUS_PER_NODE, "--dist-init-addr": "leader:5000"}
    return flags | {"--" + name.replace("_", "-"): value for name, value in more.items()}


def launches() -> list[Case]:
    """Every launch for the resolver, sorted, none twice."""
    found = [case for group in _GROUPS for case in group()]
    return sorted({case.key: case for case in found}.values(), key=lambda case: case.key)


def layouts() -> list[Case]:
    """Every launch whose weights and cache are measured, sorted."""
    found = [case for group in _MEASURED for case in group()]
    return sorted({case.key: case for case in found}.values(), key=lambda case: case.key)


def _every_model() -> Iterator[Case]:
    for model in CONFIGS:
        for tp in (1, 2, 4, 8, 16, 32):
            yield Case(model, "H100", parallel(tp))


def _every_gpu() -> Iterator[Case]:
    for gpu in ("T4", "L4", "A100-40GB", "L40S", "A100-80GB", "H200", "B200"):
        for model in (QWEN_4B, QWEN_30B, DEEPSEEK, GPT_OSS, LLAMA_8B):
            for tp in (1, 8):
                yield Case(model, gpu, parallel(tp))
        for model in (QWEN_235B, GEMMA):
            yield Case(model, gpu, parallel(4))


def _attention_data_parallel() -> Iterator[Case]:
    for model in (QWEN_4B, QWEN_30B, QWEN_235B, QWEN_235B_FP8, DEEPSEEK, LLAMA_8B, GPT_OSS, MIXTRAL, GEMMA):
        for tp, ways in ((8, 2), (8, 8), (4, 3), (32, 4), (32, 8)):
            yield Case(model, "H100", parallel(tp, attn_dp_size=ways))
    for model in (QWEN_4B, QWEN_235B, DEEPSEEK):
        for gpu in ("L40S", "A100-80GB", "B200"):
            yield Case(model, gpu, parallel(8, attn_dp_size=4))
        yield Case(model, "H100", parallel(8, attn_dp_size=16))
        yield Case(model, "H100", parallel(8, attn_dp_size=0))
        yield Case(model, "H100", parallel(8, dp_size=8, enable_dp_attention=True))
        yield Case(model, "H100", parallel(8, attn_dp_size=8, enable_dp_lm_head=True))
        yield Case(model, "H100", parallel(8, attn_dp_size=8, max_running_requests=100))
        yield Case(model, "H100", parallel(8, attn_dp_size=8, cuda_graph_max_bs_decode=160))
        yield Case(model, "H100", parallel(8, attn_dp_size=4, cuda_graph_backend_decode="disabled"))
        yield Case(model, "H100", parallel(8, attn_dp_size=8, chunked_prefill_size=4096))


def _experts() -> Iterator[Case]:
    for model in MIXTURES:
        for tp, ways in ((8, 2), (8, 4), (8, 8), (8, 3), (8, 16), (32, 8)):
            yield Case(model, "H100", parallel(tp, ep_size=ways))
    for model in (QWEN_30B, QWEN_235B_FP8, DEEPSEEK):
        yield Case(model, "H100", parallel(8, ep_size=2, attn_dp_size=4))
        yield Case(model, "H100", parallel(8, moe_dense_tp_size=1))
        yield Case(model, "H100", parallel(8, moe_dense_tp_size=2))
    yield Case(QWEN_4B, "H100", parallel(8, ep_size=8))


def _all_to_all() -> Iterator[Case]:
    for model in (QWEN_30B, QWEN_235B, QWEN_235B_FP8, DEEPSEEK, QWEN_4B, GPT_OSS):
        yield Case(model, "H100", parallel(8, moe_a2a_backend="deepep"))
        yield Case(model, "H100", parallel(8, moe_a2a_backend="deepep", attn_dp_size=8))
        yield Case(model, "H100", parallel(8, moe_a2a_backend="deepep", cuda_graph_backend_decode="disabled"))
        yield Case(model, "H100", parallel(8, moe_a2a_backend="deepep", cuda_graph_backend_prefill="disabled"))
        yield Case(model, "H100", parallel(16, moe_a2a_backend="deepep", ep_size=8, attn_dp_size=16))
        yield Case(model, "H100", parallel(8, moe_a2a_backend="mooncake"))
        yield Case(model, "B200", parallel(8, moe_a2a_backend="deepep", attn_dp_size=8))


def _pipelines_and_nodes() -> Iterator[Case]:
    for model in (QWEN_4B, QWEN_235B, DEEPSEEK):
        for tp, stages in ((4, 2), (8, 2), (8, 4), (2, 3)):
            yield Case(model, "H100", parallel(tp, pp_size=stages))
        yield Case(model, "H100", parallel(8, pp_size=2, attn_dp_size=2))
        yield Case(model, "H100", parallel(8, nnodes=3, dist_init_addr="leader:5000"))
        yield Case(model, "H100", parallel(4, nnodes=2, dist_init_addr="leader:5000"))
        yield Case(model, "H100", parallel(2, dp_size=4))
        yield Case(model, "H100", parallel(2, dp_size=2, nnodes=2, dist_init_addr="leader:5000"))
        yield Case(model, "H100", parallel(8, dp_size=2, attn_dp_size=2))
        yield Case(model, "H100", parallel(3))


def _memory() -> Iterator[Case]:
    for model, tp in ((QWEN_4B, 2), (DEEPSEEK, 8)):
        for fraction in (0.5, 0.9, 1.0, 1.5, 0.0):
            yield Case(model, "H100", parallel(tp, mem_fraction_static=fraction))
        for chunk in (512, 1000, 2048, 4096, 16384, 32768, -1):
            for gpu in ("L4", "H100", "B200"):
                yield Case(model, gpu, parallel(tp, chunked_prefill_size=chunk))
        yield Case(model, "H100", parallel(tp, page_size=64))
        yield Case(model, "H100", parallel(tp, page_size=64, chunked_prefill_size=1000))
        yield Case(model, "H100", parallel(tp, max_total_tokens=4096))
        yield Case(model, "H100", parallel(tp, context_length=8192))
        yield Case(model, "H100", parallel(tp, context_length=1048576))
        yield Case(model, "H100", parallel(tp, enable_memory_saver=True))
        yield Case(model, "H100", parallel(tp, enable_hierarchical_cache=True))
        for gpu in ("A100-80GB", "L40S", "H100", "B200"):
            yield Case(model, gpu, parallel(tp, kv_cache_dtype="fp8_e4m3"))
        yield Case(model, "H100", parallel(tp, kv_cache_dtype="bfloat16"))
        yield Case(model, "H100", parallel(tp, kv_cache_dtype="int3"))


def _vision() -> Iterator[Case]:
    for gpu in ("L40S", "H100", "B200"):
        yield Case(GEMMA_VISION, gpu, parallel(2, enable_multimodal=True))


def _graphs() -> Iterator[Case]:
    off = "disabled"
    for model, tp in ((QWEN_4B, 1), (QWEN_4B, 4), (DEEPSEEK, 8), (GPT_OSS, 2)):
        for gpu in ("L40S", "H100"):
            yield Case(model, gpu, parallel(tp, cuda_graph_backend_decode=off))
            yield Case(model, gpu, parallel(tp, cuda_graph_backend_prefill=off))
            yield Case(model, gpu, parallel(tp, cuda_graph_backend_decode=off, cuda_graph_backend_prefill=off))
            yield Case(model, gpu, parallel(tp, cuda_graph_max_bs_decode=64))
            yield Case(model, gpu, parallel(tp, cuda_graph_max_bs_decode=1000))
            yield Case(model, gpu, parallel(tp, cuda_graph_max_bs_prefill=1024))
            yield Case(model, gpu, parallel(tp, max_running_requests=16))
    yield Case(QWEN_4B, "H100", parallel(2, cuda_graph_max_bs=64))
    yield Case(QWEN_4B, "H100", parallel(2, disable_cuda_graph=True))
    yield Case(QWEN_4B, "H100", parallel(2, max_running_requests=100, cuda_graph_max_bs_decode=160))


def _every_layout() -> Iterator[Case]:
    for model in CONFIGS:
        for tp in (1, 2, 4, 8):
            yield Case(model, "H200" if model in HUGE else "H100", parallel(tp))
    for model in (QWEN_235B, QWEN_235B_FP8, DEEPSEEK, GPT_OSS, LLAMA_70B):
        for tp in (16, 32):
            yield Case(model, "H100", parallel(tp))
    yield Case(QWEN_4B, "A100-80GB", parallel(2, mem_fraction_static=0.7))
    yield Case(QWEN_4B, "L4", parallel(1))
    yield Case(LLAMA_8B, "L4", parallel(1))
    yield Case(LLAMA_8B, "L4", parallel(1, kv_cache_dtype="fp8_e4m3"))
    yield Case(QWEN_4B, "H100", parallel(3))
    yield Case(QWEN_4B, "H100", parallel(64))
    yield Case(LLAMA_8B, "H100", parallel(1, context_length=8192))
    yield Case(QWEN_4B, "H100", parallel(2, max_total_tokens=100000))
    yield Case(QWEN_4B, "H100", parallel(2, max_running_requests=50))
    yield Case(QWEN_4B, "B200", parallel(2))


def _attention_layouts() -> Iterator[Case]:
    for model in (QWEN_4B, QWEN_30B, QWEN_235B_FP8, DEEPSEEK, GPT_OSS, MIXTRAL, LLAMA_8B, GEMMA):
        gpu = "B200" if model in (QWEN_235B_FP8, DEEPSEEK) else "H100"
        for ways in (2, 4, 8):
            yield Case(model, gpu, parallel(8, attn_dp_size=ways, ep_size=8))
            yield Case(model, gpu, parallel(8, attn_dp_size=ways))
    for ways in (4, 8):
        yield Case(QWEN_235B, "A100-80GB", parallel(32, attn_dp_size=ways, mem_fraction_static=0.5))
        yield Case(QWEN_235B, "H100", parallel(32, attn_dp_size=ways, ep_size=8, mem_fraction_static=0.5))
    yield Case(QWEN_235B, "H100", parallel(8, mem_fraction_static=0.5))
    yield Case(QWEN_235B_FP8, "H100", parallel(8, ep_size=2, mem_fraction_static=0.5))
    yield Case(DEEPSEEK, "H200", parallel(8, attn_dp_size=8, enable_dp_lm_head=True, mem_fraction_static=0.9))
    yield Case(QWEN_30B, "H100", parallel(8, attn_dp_size=8, enable_dp_lm_head=True))
    yield Case(QWEN_30B, "H100", parallel(8, attn_dp_size=2, max_running_requests=100))


def _expert_layouts() -> Iterator[Case]:
    for model in MIXTURES:
        gpu = "H200" if model in (QWEN_235B, DEEPSEEK) else "H100"
        for ways in (2, 4, 8, 3, 16):
            yield Case(model, gpu, parallel(8, ep_size=ways))
    for model in (QWEN_30B, QWEN_235B_FP8, DEEPSEEK):
        yield Case(model, "H200", parallel(8, moe_a2a_backend="deepep"))
        yield Case(model, "H200", parallel(8, moe_a2a_backend="deepep", attn_dp_size=8))
        yield Case(model, "H200", parallel(32, moe_dense_tp_size=1))
        yield Case(model, "H200", parallel(32, ep_size=4, attn_dp_size=8, moe_dense_tp_size=1))
    for ways in (4, 32):
        wide = parallel(32, moe_a2a_backend="deepep", attn_dp_size=ways, moe_dense_tp_size=1)
        yield Case(DEEPSEEK, "H100", wide)
        yield Case(QWEN_235B_FP8, "H100", wide)
    yield Case(DEEPSEEK, "H100", parallel(16, ep_size=16))
    yield Case(DEEPSEEK, "H100", parallel(32, ep_size=2, moe_dense_tp_size=1))
    yield Case(QWEN_4B, "H100", parallel(8, moe_a2a_backend="deepep"))
    for model in (QWEN_4B, QWEN_30B, LLAMA_70B, GEMMA):
        yield Case(model, "H100", parallel(2, pp_size=2))
        yield Case(model, "H100", parallel(4, pp_size=3, nnodes=2, dist_init_addr="leader:5000"))


_MEASURED = (_every_layout, _attention_layouts, _expert_layouts)

_GROUPS = (
    _every_model,
    _every_gpu,
    _attention_data_parallel,
    _experts,
    _all_to_all,
    _pipelines_and_nodes,
    _memory,
    _vision,
    _graphs,
)
