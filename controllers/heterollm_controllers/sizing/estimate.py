"""A first estimate of an engine's speed from its shape: a roofline. Always labelled estimated; measure to know.

Assumptions, all of which flatter or hurt by tens of per cent on real engines:
- a decode step reads every weight of the GPU once (of the experts, those that the batch is expected to touch) and the
  KV cache of every running request, at 75 % of the memory bandwidth;
- prefill computes 2 FLOPs per active parameter and token, and attention's products, at 50 % of the dense peak, in FP8
  only where weights and GPU are FP8;
- each layer sends the tokens' hidden states through two all-reduces (or an all-gather and a reduce-scatter of the same
  volume) at 70 % of the slowest link used, after a start of 10 us inside a node and 30 us across nodes;
- a step costs 200 us plus 5 us per layer beside that; prefill is not overlapped with decoding;
- requests are alike (`Workload`), arrive evenly and share no prefix.
"""

from __future__ import annotations

from heterollm_controllers.cost.prices import dollars_per_1000, engine_dollars_per_hour
from heterollm_controllers.sizing.accelerators import Gpu
from heterollm_controllers.sizing.architecture import Architecture
from heterollm_controllers.sizing.plan import Estimate, Memory, Split, Workload

__all__ = ["ASSUMPTIONS", "estimate"]

ASSUMPTIONS = (
    "roofline: 75 % of memory bandwidth, 50 % of dense FLOPs, 70 % of link bandwidth;"
    " equal requests without shared prefixes; prefill not overlapped"
)

_BANDWIDTH_REACHED = 0.75
_FLOPS_REACHED = 0.5
_LINK_REACHED = 0.7
_START_IN_NODE = 10e-6
_START_ACROSS_NODES = 30e-6
_STEP = 200e-6
_STEP_PER_LAYER = 5e-6


def estimate(
    model: Architecture,
    gpu: Gpu,
    split: Split,
    nodes: int,
    memory: Memory,
    concurrency: int,
    workload: Workload,
    active: int,
) -> Estimate:
    """The engine's speed for one kind of request.

    Args:
        concurrency: requests in flight when it is full.
        active: parameters that one token uses.
    """
    engine = _Engine(model, gpu, split, nodes, memory, workload, active)
    first = engine.prefill()
    alone = engine.decode(1)
    batch = max(concurrency, 1)
    full = engine.decode(batch)
    # In a full engine each request takes its prefill and its share of every decode step.
    per_second = 1 / (first + workload.output_tokens * full / batch)
    dollars = dollars_per_1000(engine_dollars_per_hour(split.gpus, gpu.dollars_per_hour), per_second)
    return Estimate(first + alone, alone, batch, full + first * batch / workload.output_tokens, per_second, dollars)


class _Engine:
    """Times of one engine's steps, in seconds."""

    def __init__(
        self, model: Architecture, gpu: Gpu, split: Split, nodes: int, memory: Memory, workload: Workload, active: int
    ) -> None:
        self.model, self.gpu, self.split, self.nodes = model, gpu, split, nodes
        self.memory, self.workload, self.active = memory, workload, active
        in_fp8 = model.quantization is not None and model.quantization.bits == 8 and gpu.fp8_tflops > 0
        self.flops = (gpu.fp8_tflops if in_fp8 else gpu.bf16_tflops) * 1e12 * _FLOPS_REACHED
        self.bandwidth = gpu.bandwidth_gb_s * 1e9 * _BANDWIDTH_REACHED

    def prefill(self) -> float:
        """One request's whole prompt, through all stages."""
        tokens = self.workload.input_tokens
        products = 2 * self.model.layers * self.model.heads * self.model.head_dim * tokens * tokens
        compute = (2 * self.active * tokens + products) / (self._workers() * self.flops)
        reading = self.memory.weights.total * self.split.pipeline / self.bandwidth
        return max(compute, reading) + self._communication(tokens) + self._overhead()

    def decode(self, batch: int) -> float:
        """One token for each of `batch` requests of the whole engine."""
        compute = 2 * self.active * batch / (self.split.gpus * self.flops)
        stages = self.split.pipeline
        read = (self._weights_read(batch) + self._kv_read(batch)) * stages / self.bandwidth
        return max(compute, read) + self._communication(batch) + self._overhead()

    def _workers(self) -> float:
        """GPUs that share one request's prefill: attention DP shares only what is not attention."""
        held = self.memory.weights
        attention = held.attention / max(held.total, 1)
        return self.split.gpus * (1 - attention) + self.split.gpus / self.split.attention_dp * attention

    def _weights_read(self, batch: int) -> float:
        held = self.memory.weights
        experts = self.model.experts
        touched = 1 - (1 - experts.active / experts.count) ** batch if experts else 1.0
        return held.attention + held.mlp + held.embeddings + touched * held.experts

    def _kv_read(self, batch: int) -> float:
        in_cache = self.workload.input_tokens + self.workload.output_tokens / 2
        return batch / self.split.attention_dp * in_cache * self.memory.cell

    def _communication(self, tokens: int) -> float:
        """All layers' exchanges of `tokens` hidden states between the GPUs of one stage, and between stages."""
        ways = self.split.tensor
        size = tokens * self.model.hidden * 2
        across = self.nodes > 1
        link = (self.gpu.network_gb_s if across else self.gpu.link_gb_s) * 1e9 * _LINK_REACHED
        start = _START_ACROSS_NODES if across else _START_IN_NODE
        stages = (self.split.pipeline - 1) * (start + size / link)
        if ways == 1:
            return stages
        return 2 * self.model.layers * (start + 2 * (ways - 1) / ways * size / link / self._links()) + stages

    def _links(self) -> float:
        """Links in use at once: an exchange across nodes goes through the network cards of all GPUs of a node."""
        return max(1.0, self.split.gpus / self.nodes) if self.nodes > 1 else 1.0

    def _overhead(self) -> float:
        return _STEP + _STEP_PER_LAYER * self.model.layers
