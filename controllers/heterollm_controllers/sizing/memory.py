"""GPU memory of an engine by SGLang 0.5.23's own formulas: automatic memory fraction, KV cell, KV tokens.

MiB unless a name says otherwise. Where SGLang's figures are heuristics of SGLang, they are copied as they are: the
point is to predict what it will do. Checked against SGLang's resolver and its KV-cache configurator (tests/sizing).
"""

from __future__ import annotations

from dataclasses import dataclass

from heterollm_controllers.sizing.accelerators import Gpu
from heterollm_controllers.sizing.architecture import Architecture
from heterollm_controllers.sizing.plan import Memory, Split, Weights
from heterollm_controllers.sizing.weights import kv_heads_per_gpu

__all__ = [
    "GIB",
    "MIB",
    "Reserve",
    "automatic_fraction",
    "cell_bytes",
    "default_chunked_prefill",
    "default_decode_batch",
    "free_before_load",
    "max_running",
    "memory",
    "reserve",
]

MIB = 1 << 20
GIB = 1 << 30

_BIG_GPU = 60 * 1024
"""From here on SGLang reserves at least 10 GiB."""
_SLIDING_RATIO = 0.8
"""Tokens of the sliding-window pool to those of the full pool (SGLang's default)."""
_DEEPEP_PREFILL = 2048
_GRAPHS_WITH_A2A = ("none", "deepep", "megamoe", "flashinfer")
"""All-to-all backends with which SGLang captures prefill graphs."""


def default_chunked_prefill(gpu_mib: int) -> int:
    """Tokens of one prefill step, by the size of the GPU."""
    for below, tokens in ((20, 2048), (60, 4096), (160, 8192)):
        if gpu_mib < below * 1024:
            return tokens
    return 16384


def default_decode_batch(gpu_mib: int, tensor: int) -> int:
    """Largest captured decode batch, by the size of the GPU and the tensor-parallel size."""
    for below, few, many in ((20, 8, 8), (35, 48, 160), (60, 32, 160), (160, 256, 512)):
        if gpu_mib < below * 1024:
            return few if tensor < 4 else many
    return 512


@dataclass(frozen=True)
class Reserve:
    """What SGLang keeps free of weights and KV cache, in MiB, by purpose."""

    constant: float
    activations: float
    parallel: float
    decode_graph: float
    attention_dp: float
    prefill_graph: float
    a2a: float
    floor: float

    @property
    def total(self) -> float:
        """MiB; never below the floor, which does not cover the all-to-all buffers."""
        parts = self.constant + self.activations + self.parallel + self.decode_graph
        return max(parts + self.attention_dp + self.prefill_graph, self.floor) + self.a2a


def reserve(
    model: Architecture,
    split: Split,
    gpu_mib: int,
    chunked_prefill: int,
    decode_batch: int,
    *,
    decode_graph: bool = True,
    prefill_graph: bool = True,
    prefill_batch: int | None = None,
) -> Reserve:
    """What SGLang reserves when it chooses the memory fraction by itself.

    Args:
        chunked_prefill: tokens before attention DP divides them; -1 when chunking is off, and then 16384 count.
        prefill_batch: tokens of the largest captured prefill step; the chunk if None.
    """
    deepep = split.a2a == "deepep"
    padding = 0.0
    if split.attention_dp > 1:
        padding = decode_batch * split.attention_dp * (4.5 if decode_batch > 300 else 3)
    captured = prefill_graph and split.pipeline == 1 and split.a2a in _GRAPHS_WITH_A2A
    largest = chunked_prefill if prefill_batch is None else prefill_batch
    return Reserve(
        constant=512,
        activations=1.5 * max(chunked_prefill if chunked_prefill > 0 else 16384, 2048),
        parallel=split.gpus / 8 * 1024,
        decode_graph=2 * decode_batch if decode_graph else 0,
        attention_dp=padding,
        prefill_graph=_prefill_graphs(model, deepep, largest) if captured else 0,
        a2a=2048 if deepep and decode_graph else 0,
        floor=10 * 1024 if gpu_mib > _BIG_GPU else 0,
    )


def _prefill_graphs(model: Architecture, deepep: bool, largest: int) -> float:
    """MiB for the captured prefill graphs: by their number, or a lump sum for latent attention."""
    bridge = 1024 if deepep else 0
    if model.latent:
        return 1536 + bridge
    if not deepep:
        # Not listed: the largest may be any number.
        return 8 * (len(_prefill_sizes(min(largest, 4096))) + max(0, (largest - 4096) // 512))
    # For DeepEP the sizes are fixed before the GPU is looked at, and rounded up to multiples of 8.
    aligned = {-(-size // 8) * 8 for size in _prefill_sizes(_DEEPEP_PREFILL)}
    return 8 * len(aligned) + bridge


def _prefill_sizes(largest: int) -> list[int]:
    """Token counts up to 4096 for which SGLang captures prefill graphs; above, it is every 512th."""
    steps = ((4, 32, 4), (48, 256, 16), (288, 512, 32), (576, 1024, 64), (1280, 4096, 256))
    sizes = [size for first, last, step in steps for size in range(first, last + 1, step)]
    return [size for size in sizes if size <= largest]


def automatic_fraction(model: Architecture, gpu: Gpu, kept: Reserve, images: bool) -> float:
    """SGLang's --mem-fraction-static when it is not given; negative when the GPU is too small for the reserve."""
    fraction = round((gpu.memory_mib - kept.total) / gpu.memory_mib, 3)
    if images and model.vision:
        larger = model.vision.size / (24 * 1024**2) - 1  # than the encoder of a usual model
        fraction *= 0.95 * min(max(1 - 0.1 * larger, 0.8), 1.05)
    if gpu.vendor == "amd" and model.context > 8192:
        fraction *= 0.85
    return fraction


def free_before_load(gpu_mib: int, split: Split, nodes: int) -> int:
    """Bytes free on one GPU when loading starts.

    The CUDA context and libraries take about 1 GiB; communicators 0.5 GiB more inside a node, and as much again
    across nodes. So an 80 GiB A100 has 78.5 GiB free at TP 2 and 78 GiB at TP 32 over 4 nodes, as was measured there.
    """
    taken = 1.0 + (0.5 if split.gpus > 1 else 0) + (0.5 if nodes > 1 else 0)
    return max(0, gpu_mib * MIB - int(taken * GIB))


def cell_bytes(model: Architecture, split: Split, number_bytes: float) -> int:
    """Bytes that one token takes on one GPU, all layers of its stage together."""
    layers = -(-model.layers // split.pipeline)
    if model.latent:
        return int((model.latent.kv_lora_rank + model.latent.qk_rope_head_dim) * layers * number_bytes)
    pooled: float = layers
    if model.sliding_pool:
        sliding = -(-model.sliding_layers // split.pipeline)
        pooled = (layers - sliding) + _SLIDING_RATIO * sliding
    return int(kv_heads_per_gpu(model, split) * 2 * model.head_dim * number_bytes * pooled)


def memory(
    free: int, total: int, fraction: float, held: Weights, cell: int, page: int, limit: int | None = None
) -> Memory:
    """The KV pool that is left beside the weights; no tokens when they do not fit.

    Args:
        free: bytes before loading.
        page: tokens of one page, to which the pool is aligned down.
        limit: user's most tokens.
    """
    rest = free - held.total - free * (1 - fraction)
    tokens = max(0, int(rest // cell))
    tokens = min(tokens, limit) if limit else tokens
    return Memory(total, free, fraction, held, cell, tokens // page * page)


def max_running(tokens: int, context: int, attention_dp: int, required: int | None) -> int:
    """Most requests at once in the whole engine: SGLang's limit per attention DP rank, times the ranks.

    Args:
        tokens: KV tokens of one rank.
    """
    if required is not None:
        per_rank = max(1, required // attention_dp)
    else:
        per_rank = max(min(tokens * 512 // max(context, 1), 4096), 2048)
    return min(per_rank, tokens // 2) * attention_dp
