"""Build SGLang's own model classes without memory and size their KV cache: memory.py GPU < cases.json > answers.json.

The model of one rank is constructed on torch's `meta` device, where a tensor has a shape and a type but no content, in
the parallel layout that SGLang derives from the launch. Its tensors are added up; SGLang's own KV-cache configurator
then says how many tokens fit into what they leave free. Replaced, beside what pretend.py replaces:

- the process groups: only their widths and places are read, and no other rank answers;
- the probe of free memory: it answers with the GPU's memory less CONTEXT_MIB, and less the bytes counted;
- the kernel that unpacks block-quantised weights when an MLA model is loaded: only the shape of its result is needed.

Not built, and so not counted: what a quantisation method adds when it rearranges loaded weights for its kernels.
"""

from __future__ import annotations

import collections
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cases import Case
from pretend import GPUS, Gpu, nowhere
from resolve import resolved, serve

CONTEXT_MIB = 1536
"""What the driver and the process hold before the weights: the free memory assumed is the GPU's less this."""

PARTS = {
    "rotary": re.compile(r"cos_sin_cache"),
    "copies": re.compile(r" \(unregistered\)$"),
    "embeddings": re.compile(r"embed_tokens|lm_head"),
    "attention": re.compile(r"self_attn"),
    "experts": re.compile(r"\.experts\."),
    "mlp": re.compile(r"\.mlp\.|\.block_sparse_moe\."),
}
"""The first pattern found in a tensor's name says what it belongs to; anything else is `other`, mostly norms."""


def measure(case: Case, folder: Path) -> dict[str, Any]:
    """Weights in bytes and room for the cache on the first rank, on the last if it differs, and on each later stage.

    Raises:
        Exception: whatever SGLang raises while it resolves the launch, builds the model or sizes the cache.
    """
    server = resolved(case, folder)
    width, stages = int(case.flags["--tp-size"]), int(case.flags.get("--pp-size", 1))
    first, *later = [_stage(server, stage * width, GPUS[case.gpu]) for stage in range(stages)]
    last, _ = _built(server, width - 1)
    odd = {"weights_last_rank": last} if last != first["weights"] else {}
    given = {"free_before_mib": GPUS[case.gpu].memory_mib - CONTEXT_MIB, "mem_fraction_static": _fraction()}
    return given | first | odd | ({"later_stages": later} if later else {})


def _fraction() -> float:
    from sglang.srt.runtime_context import get_schedule

    fraction: float = get_schedule().mem_fraction_static
    return fraction


def _stage(server: Any, rank: int, gpu: Gpu) -> dict[str, Any]:
    weights, runner = _built(server, rank)
    return {"weights": weights} | _cache(runner, sum(weights.values()), gpu)


def _built(server: Any, rank: int) -> tuple[dict[str, int], Any]:
    """The bytes of one rank by part, and a model runner that has the model."""
    import torch
    from sglang.srt.configs.load_config import LoadConfig
    from sglang.srt.configs.model_config import ModelConfig
    from sglang.srt.model_loader.loader import _get_quantization_config, _initialize_model
    from sglang.srt.model_loader.utils import set_default_torch_dtype
    from sglang.srt.models.deepseek_common import deepseek_weight_loader
    from sglang.srt.utils.common import reserve_rope_cache_for_long_sequences

    _place(server, rank)
    config = ModelConfig.from_server_args(server)
    load = LoadConfig()
    deepseek_weight_loader.block_quant_dequant = lambda weight, scale, block, dtype: weight.to(dtype)
    with set_default_torch_dtype(config.dtype), torch.device("meta"), nowhere():
        model = _initialize_model(config, load, _get_quantization_config(config, load))
        if hasattr(model, "post_load_weights"):
            model.post_load_weights()
        reserve_rope_cache_for_long_sequences(model, config)
    counts: collections.Counter[str] = collections.Counter()
    for name, tensor in _tensors(model):
        part = next((part for part, pattern in PARTS.items() if pattern.search(name)), "other")
        counts[part] += tensor.untyped_storage().nbytes()
    return dict(sorted(counts.items())), _runner(server, model, config)


def _tensors(model: Any) -> Iterator[tuple[str, Any]]:
    """Every tensor once: a table that layers share, or a view of another tensor, is not memory again."""
    import torch

    held = {
        f"{name}.{attribute} (unregistered)": value
        for name, module in model.named_modules()
        for attribute, value in vars(module).items()
        if isinstance(value, torch.Tensor)
    }
    seen: set[int] = set()
    for name, tensor in [*model.named_parameters(), *model.named_buffers(), *held.items()]:
        storage = tensor.untyped_storage()._cdata
        if storage not in seen:
            seen.add(storage)
            yield name, tensor


def _place(server: Any, rank: int) -> None:
    """Tell SGLang that this process is that rank, as its launcher and its schedulers do."""
    import torch
    from sglang.srt.layers.dp_attention import initialize_dp_attention_flags
    from sglang.srt.layers.moe import initialize_moe_config
    from sglang.srt.layers.quantization.fp4_utils import initialize_fp4_gemm_config
    from sglang.srt.layers.quantization.fp8_utils import initialize_fp8_gemm_config
    from sglang.srt.layers.quantization.unquant import initialize_bf16_gemm_config
    from sglang.srt.runtime_context import SpawnRanks, get_parallel, publish

    parallel = get_parallel()
    parallel.clear_stamp()
    _stand_alone(rank, server.tp_size * server.pp_size)
    publish(server, role="scheduler", ranks=SpawnRanks(world_rank=rank, gpu_id=0))
    for name in ("tp", "attn_tp", "attn_cp", "moe_ep", "moe_tp", "pp"):
        width, place = getattr(parallel, f"{name}_size"), getattr(parallel, f"{name}_rank")
        group = SimpleNamespace(
            world_size=width,
            rank_in_group=place,
            ranks=list(range(width)),
            is_first_rank=place == 0,
            is_last_rank=place == width - 1,
            cpu_group=torch.distributed.group.WORLD,
            device_group=torch.distributed.group.WORLD,
        )
        parallel.override_permanently(**{f"{name}_group": group})
    parallel.override_permanently(world_group=SimpleNamespace(cpu_group=torch.distributed.group.WORLD))
    initialize_dp_attention_flags(server)
    initialize_moe_config()
    initialize_fp8_gemm_config()
    initialize_fp4_gemm_config()
    initialize_bf16_gemm_config()


def _stand_alone(rank: int, ranks: int) -> None:
    """A process group of so many ranks in which no other answers: torch's own, for tests."""
    import torch
    from torch.testing._internal.distributed.fake_pg import FakeStore

    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    torch.distributed.init_process_group("fake", rank=rank, world_size=ranks, store=FakeStore())


def _runner(server: Any, model: Any, config: Any) -> Any:
    """SGLang's own model runner, without its constructor, which needs a GPU: it wires the configurator up."""
    from sglang.srt.configs.model_config import AttentionArch
    from sglang.srt.model_executor.model_runner import ModelRunner
    from sglang.srt.model_executor.model_runner_components.layer_setup import resolve_layer_indices
    from sglang.srt.runtime_context import get_parallel, get_schedule
    from sglang.srt.speculative.spec_info import SpeculativeAlgorithm

    runner = ModelRunner.__new__(ModelRunner)
    absent = ("draft_attention_backend", "token_to_kv_pool_allocator", "req_to_token_pool", "memory_pool_config")
    vars(runner).update(dict.fromkeys((*absent, "forward_stream", "draft_model_idx", "sliding_window_size")))
    vars(runner).update(
        device="cuda",
        gpu_id=0,
        server_args=server,
        model=model,
        model_config=config,
        dtype=config.dtype,
        is_draft_worker=False,
        spec_algorithm=SpeculativeAlgorithm.from_string(None),
        page_size=get_schedule().page_size,
        is_hybrid_swa=config.is_hybrid_swa,
        is_hybrid_swa_compress=config.is_hybrid_swa_compress,
        use_mla_backend=config.attention_arch == AttentionArch.MLA,
        pp_group=get_parallel().pp_group,
        layer_info=resolve_layer_indices(model=model, model_config=config, is_draft_worker=False),
    )
    runner.init_spec_aux_hidden_state()
    runner.configure_kv_cache_dtype()
    runner.init_kv_cache_configurator()
    return runner


def _cache(runner: Any, weights: int, gpu: Gpu) -> dict[str, Any]:
    """What SGLang's KV-cache configurator makes of the memory that the weights leave."""
    from sglang.srt.mem_cache import kv_cache_configurator
    from sglang.srt.model_executor.pool_configurator import create_memory_pool_configurator

    before = (gpu.memory_mib - CONTEXT_MIB) * 2**20
    kv_cache_configurator.get_available_gpu_memory = lambda *args, **kwargs: (before - weights) / 2**30
    pools = create_memory_pool_configurator(runner.kv_cache_configurator)
    cell = getattr(pools, "_cell_size", None)
    found: dict[str, Any] = {"cell_bytes": cell, "kv_dtype": str(runner.kv_cache_dtype).removeprefix("torch.")}
    try:
        sizes = runner.kv_cache_configurator._resolve_memory_pool_config(before / 2**30)
    except (ValueError, RuntimeError) as refusal:
        return found | {"tokens": 0, "refusal": str(refusal).partition(". ")[0]}
    return found | {
        "tokens": sizes.max_total_num_tokens,
        "max_requests": sizes.max_running_requests,
        "window_tokens": sizes.swa_max_total_num_tokens,
    }


if __name__ == "__main__":
    serve(measure, ("sglang.srt.model_executor.model_runner",))
