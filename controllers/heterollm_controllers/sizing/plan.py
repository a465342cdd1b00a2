"""What sizing decides: how an engine is split over GPUs, and what that gives."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MOST_NODES", "USUAL", "Estimate", "Memory", "Plan", "Split", "Weights", "Workload", "fraction_text"]

MOST_NODES = 64
"""Nodes of one engine: as many as engine.nodes allows and as status remembers pods of."""


@dataclass(frozen=True)
class Split:
    """How one engine is spread over its GPUs (SGLang's parallel sizes).

    Attributes:
        tensor: tensor-parallel size; attention and expert parallelism divide it.
        attention_dp: attention data-parallel ranks.
        expert: expert-parallel ranks.
        pipeline: pipeline stages.
        a2a: expert all-to-all backend; none sums the experts' outputs by all-reduce.
        dp_head: whether the output head shards like attention (--enable-dp-lm-head) and not over all GPUs.
        moe_dense: tensor-parallel size of the dense MLPs of a MoE model when it is not `tensor` (SGLang allows 1).
    """

    tensor: int
    attention_dp: int = 1
    expert: int = 1
    pipeline: int = 1
    a2a: str = "none"
    moe_dense: int | None = None
    dp_head: bool = False

    @property
    def gpus(self) -> int:
        """GPUs of the engine."""
        return self.tensor * self.pipeline

    @property
    def attention_tensor(self) -> int:
        """GPUs that share the heads of one attention replica."""
        return self.tensor // self.attention_dp

    @property
    def moe_tensor(self) -> int:
        """GPUs that share one expert."""
        return self.tensor // self.expert

    @property
    def mlp_tensor(self) -> int:
        """GPUs that share a dense MLP."""
        return self.moe_dense or self.tensor

    def __str__(self) -> str:
        parts = [f"TP {self.tensor}"]
        parts += [f"attention DP {self.attention_dp}"] if self.attention_dp > 1 else []
        parts += [f"EP {self.expert}"] if self.expert > 1 else []
        parts += [f"PP {self.pipeline}"] if self.pipeline > 1 else []
        return ", ".join(parts)


@dataclass(frozen=True)
class Weights:
    """Bytes on the fullest GPU. `buffers` are made at load time: rotary tables and copies in another layout."""

    attention: int
    mlp: int
    experts: int
    embeddings: int
    vision: int
    buffers: int

    @property
    def total(self) -> int:
        """All of it, in bytes."""
        return self.attention + self.mlp + self.experts + self.embeddings + self.vision + self.buffers


@dataclass(frozen=True)
class Memory:
    """Memory of the fullest GPU, in bytes.

    `free` is what is free before loading; `usable` (the share `fraction` of it) holds weights and KV cache;
    the rest is reserved for activations, graphs and communication.
    """

    total: int
    free: int
    fraction: float
    weights: Weights
    cell: int
    tokens: int

    @property
    def usable(self) -> int:
        """Bytes for weights and KV cache."""
        return max(0, int(self.free * self.fraction))

    @property
    def kv_cache(self) -> int:
        """Bytes of the KV pool."""
        return self.tokens * self.cell

    @property
    def reserved(self) -> int:
        """Bytes kept for activations, CUDA graphs and communication buffers."""
        return self.free - self.usable

    @property
    def unused(self) -> int:
        """Bytes that neither holds: less than a token, or what a token limit leaves."""
        return self.usable - self.weights.total - self.kv_cache


@dataclass(frozen=True)
class Workload:
    """The request that estimates speak of, in tokens."""

    input_tokens: int = 1024
    output_tokens: int = 256

    @property
    def tokens(self) -> int:
        """Length of a finished request."""
        return self.input_tokens + self.output_tokens


USUAL = Workload()
"""The request meant when nothing is said."""


@dataclass(frozen=True)
class Estimate:
    """What an engine should give: seconds, requests per second, dollars. Never measured here; see estimate.py.

    Attributes:
        first_token, per_token: seconds to the first token and per further token, of a lone request.
        concurrency: requests in flight when the engine is full.
        per_token_full: seconds per further token when it is full.
        requests_per_second: of the full engine.
        dollars_per_1000: dollars per 1,000 requests of the full engine; None without a price.
    """

    first_token: float
    per_token: float
    concurrency: int
    per_token_full: float
    requests_per_second: float
    dollars_per_1000: float | None


@dataclass(frozen=True)
class Plan:
    """One way to run the engine.

    Attributes:
        nodes: nodes (pods) it spans.
        chunked_prefill: tokens of one prefill step of one attention DP rank; -1 when prefill is not chunked.
        decode_batch: largest batch of captured decode graphs, per attention DP rank.
        context: tokens of the longest request.
        kv_dtype: as SGLang names it; auto is the model's own.
        max_running: most requests that run at once in the engine.
        memory: of the fullest GPU.
        automatic_fraction: the memory fraction that SGLang would choose.
        kv_tokens: tokens that the engine's KV pools hold together.
        estimate: speed and cost.
    """

    split: Split
    nodes: int
    chunked_prefill: int
    decode_batch: int
    context: int
    kv_dtype: str
    max_running: int
    memory: Memory
    automatic_fraction: float
    kv_tokens: int
    estimate: Estimate


def fraction_text(fraction: float) -> str:
    """A memory fraction as status has it: four places."""
    return f"{fraction:.4f}".rstrip("0").rstrip(".")
