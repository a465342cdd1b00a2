"""Flags that SGLang renamed, replaced or dropped, and what takes their place: the one table of them.

A row applies where the chosen release refuses the old flag or calls it deprecated; a flag that is current there is left
as it is. Read from the parsers of SGLang 0.3.6, 0.4.6, 0.4.10, 0.5.3, 0.5.6, 0.5.10, 0.5.15, 0.5.17 and 0.5.19 to
0.5.23: `by` is the first of these that no longer accepts the flag, so it went then or a little earlier.

`--dp-size N --enable-dp-attention` needs two flags to be seen at once and is translated in dp_attention.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType

from heterollm_controllers.sglang.flags.catalogue import Catalogue, Nargs

__all__ = ["TENSOR_PARALLEL", "TRANSLATIONS", "VALUE", "Translation"]

VALUE = "{value}"
"""Stands for the values that the old flag was given."""
TENSOR_PARALLEL = "$(HETEROLLM_TENSOR_PARALLEL)"
"""Stands for the engine's tensor-parallel size until it is known. Written as a reference to the environment, into which
no check looks."""


@dataclass(frozen=True)
class Translation:
    """One old flag."""

    old: str
    by: str | None
    """First release seen that refuses it; None: deprecated, but the newest still accepts it."""
    becomes: tuple[str, ...] = ()
    """What to write instead; of several, the first that the chosen release accepts. Empty: leave it out."""
    why: str = ""
    takes: Nargs = 0
    """How many values it took."""
    values: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Values that were renamed with it."""
    refused: bool = False
    """Nothing does the same, and to leave it out would change what the engine does."""

    def replacement(self, known: Catalogue) -> tuple[str, ...]:
        """The words to write instead in that release, VALUE among them where the old values go."""
        accepted = (tuple(text.split()) for text in self.becomes if _accepted(text.split(), known))
        return next(accepted, ())


def _accepted(words: list[str], known: Catalogue) -> bool:
    """Whether a release has these flags, with the fixed values that follow them."""
    for word, following in pairwise([*words, "--"]):
        flag = known.spellings.get(word)
        if word.startswith("--") and flag is None:
            return False
        fixed = not following.startswith("--") and following != VALUE
        if flag is not None and flag.choices is not None and fixed and following not in flag.choices:
            return False
    return True


_CP_MODES = MappingProxyType({"in-seq-split": "zigzag", "round-robin-split": "interleave"})
_PREFILL_BACKEND = "--cuda-graph-backend-prefill"
_SPARSITY = "double sparsity was removed from SGLang"
_BOOTSTRAP = "the peers tell each other when they meet"

TRANSLATIONS: Mapping[str, Translation] = MappingProxyType(
    {
        row.old: row
        for row in (
            # Mixture of experts
            Translation("--enable-ep-moe", "0.5.6", (f"--ep-size {TENSOR_PARALLEL}",), "it meant as many as TP"),
            Translation("--enable-deepep-moe", "0.5.6", ("--moe-a2a-backend deepep",)),
            Translation("--enable-deepep-waterfill", "0.5.17", ("--enable-waterfill",)),
            Translation("--enable-flashinfer-cutlass-moe", "0.5.6", ("--moe-runner-backend flashinfer_cutlass",)),
            Translation("--enable-flashinfer-cutedsl-moe", "0.5.6", ("--moe-runner-backend flashinfer_cutedsl",)),
            Translation("--enable-flashinfer-trtllm-moe", "0.5.6", ("--moe-runner-backend flashinfer_trtllm",)),
            Translation("--enable-flashinfer-mxfp4-moe", "0.5.6", ("--moe-runner-backend flashinfer_mxfp4",)),
            Translation("--enable-triton-kernel-moe", "0.5.6", ("--moe-runner-backend triton_kernel",)),
            Translation("--n-share-experts-fusion", "0.4.10", takes=None, why="SGLang decides it from the GPU"),
            Translation(
                "--enable-expert-distribution-metrics",
                "0.5.19",
                ("--expert-balancedness-report-mode both",),
                "server_log or prometheus report in one place only",
            ),
            Translation("--elastic-ep-rejoin", "0.5.21", ("--elastic-ep-join-mode recover",)),
            # CUDA graphs
            Translation(
                "--cuda-graph-max-bs",
                "0.5.20",
                (f"--cuda-graph-max-bs-decode {VALUE}",),
                "there is one limit for decode and one for prefill now, and it meant decode",
                takes=None,
            ),
            Translation(
                "--cuda-graph-bs", "0.5.20", (f"--cuda-graph-bs-decode {VALUE}",), "it meant decode", takes="+"
            ),
            Translation(
                "--disable-cuda-graph",
                None,
                (f"--cuda-graph-backend-decode disabled {_PREFILL_BACKEND} disabled",),
            ),
            Translation("--enable-breakable-cuda-graph", "0.5.20", (f"{_PREFILL_BACKEND} breakable",)),
            Translation("--disable-piecewise-cuda-graph", "0.5.20", (f"{_PREFILL_BACKEND} disabled",)),
            Translation(
                "--enforce-piecewise-cuda-graph",
                "0.5.20",
                (f"{_PREFILL_BACKEND} tc_piecewise", f"{_PREFILL_BACKEND} breakable"),
                "it forced a graph for prefill",
            ),
            Translation("--enable-piecewise-cuda-graph", "0.5.15", why="a graph for prefill is the default"),
            Translation("--piecewise-cuda-graph-tokens", "0.5.20", (f"--cuda-graph-bs-prefill {VALUE}",), takes="+"),
            Translation(
                "--piecewise-cuda-graph-max-tokens", "0.5.20", (f"--cuda-graph-max-bs-prefill {VALUE}",), takes=None
            ),
            Translation(
                "--piecewise-cuda-graph-compiler",
                "0.5.20",
                (f"--cuda-graph-tc-compiler {VALUE}", ""),
                "only the piecewise backend compiled",
                takes=None,
            ),
            Translation(
                "--cuda-graph-tc-compiler",
                "0.5.22",
                why="only the piecewise backend compiled",
                takes=None,
            ),
            # Attention and sampling kernels
            Translation("--disable-flashinfer", "0.4.6", ("--attention-backend triton",)),
            Translation("--disable-flashinfer-sampling", "0.4.6", ("--sampling-backend pytorch",)),
            Translation("--enable-flashinfer-mla", "0.4.10", ("--attention-backend flashinfer",)),
            Translation("--enable-flashmla", "0.4.10", ("--attention-backend flashmla",)),
            Translation("--nsa-prefill", "0.5.6", (f"--dsa-prefill-backend {VALUE}",), takes=None),
            Translation("--nsa-decode", "0.5.6", (f"--dsa-decode-backend {VALUE}",), takes=None),
            Translation("--nsa-prefill-backend", "0.5.20", (f"--dsa-prefill-backend {VALUE}",), takes=None),
            Translation("--nsa-decode-backend", "0.5.20", (f"--dsa-decode-backend {VALUE}",), takes=None),
            Translation("--enable-flashinfer-autotune", "0.5.10", why="it is the default"),
            Translation("--enable-flashinfer-allreduce-fusion", None, ("--flashinfer-allreduce-fusion-backend auto",)),
            Translation(
                "--monokernel-backend",
                None,
                ("--enable-amd-monokernel",),
                "amd was the only one",
                takes=None,
            ),
            Translation("--disable-mla", "0.4.6", why="models with MLA have no other attention now", refused=True),
            # Context parallelism
            Translation("--enable-prefill-context-parallel", "0.5.20", ("--enable-prefill-cp",)),
            Translation("--enable-dsa-prefill-context-parallel", "0.5.20", ("--enable-prefill-cp",)),
            Translation("--enable-nsa-prefill-context-parallel", "0.5.20", ("--enable-prefill-cp",)),
            Translation("--prefill-cp-mode", "0.5.20", (f"--cp-strategy {VALUE}",), takes=None, values=_CP_MODES),
            Translation("--dsa-prefill-cp-mode", "0.5.20", (f"--cp-strategy {VALUE}",), takes=None, values=_CP_MODES),
            Translation("--nsa-prefill-cp-mode", "0.5.20", (f"--cp-strategy {VALUE}",), takes=None, values=_CP_MODES),
            # Speculative decoding
            Translation(
                "--speculative-dflash-draft-window-size",
                "0.5.20",
                (f"--speculative-draft-window-size {VALUE}",),
                takes=None,
            ),
            Translation(
                "--speculative-ngram-branch-length",
                "0.5.10",
                (f"--speculative-ngram-max-trie-depth {VALUE}",),
                takes=None,
            ),
            Translation(
                "--speculative-ngram-min-match-window-size", "0.5.10", takes=None, why="it can no longer be set"
            ),
            Translation(
                "--speculative-ngram-max-match-window-size", "0.5.10", takes=None, why="it can no longer be set"
            ),
            Translation("--speculative-skip-dp-mlp-sync", "0.5.23", why="it only saved time"),
            # Memory and state
            Translation(
                "--hybrid-kvcache-ratio",
                "0.5.15",
                why="--swa-full-tokens-ratio has its place and counts otherwise: its value is the number of tokens"
                " of sliding-window layers over that of full layers",
                takes="?",
                refused=True,
            ),
            Translation("--mamba-scheduler-strategy", "0.5.20", (f"--mamba-radix-cache-strategy {VALUE}",), takes=None),
            Translation("--enable-gdn-replayssm-spec", "0.5.20", ("--enable-linear-replayssm-spec",)),
            Translation("--max-micro-batch-size", "0.5.6", (f"--pp-max-micro-batch-size {VALUE}",), takes=None),
            Translation(
                "--torchao-config", "0.5.19", why="torchao was removed; see --quantization", takes=None, refused=True
            ),
            Translation("--enable-double-sparsity", "0.5.15", why=_SPARSITY, refused=True),
            Translation("--ds-channel-config-path", "0.5.15", why=_SPARSITY, takes=None, refused=True),
            Translation("--ds-heavy-channel-num", "0.5.15", why=_SPARSITY, takes=None, refused=True),
            Translation("--ds-heavy-channel-type", "0.5.15", why=_SPARSITY, takes=None, refused=True),
            Translation("--ds-heavy-token-num", "0.5.15", why=_SPARSITY, takes=None, refused=True),
            Translation("--ds-sparse-decode-threshold", "0.5.15", why=_SPARSITY, takes=None, refused=True),
            # Multimodal input
            Translation("--keep-mm-feature-on-device", "0.5.21", ("--mm-feature-transport cuda_ipc",)),
            Translation("--disable-fast-image-processor", None, ("--image-processor-backend pil",)),
            Translation("--mm-max-concurrent-calls", "0.5.10", takes=None, why="it can no longer be set"),
            Translation("--mm-per-request-timeout", "0.5.10", takes=None, why="it can no longer be set"),
            # Serving, scheduling and metrics
            Translation("--stream-output", "0.5.20", ("--incremental-streaming-output",)),
            Translation("--grpc-mode", None, ("--smg-grpc-mode",)),
            Translation("--disable-disk-cache", "0.4.6", ("--disable-outlines-disk-cache",)),
            Translation("--oltp-traces-endpoint", "0.5.6", (f"--otlp-traces-endpoint {VALUE}",), takes=None),
            Translation("--enable-overlap-schedule", "0.4.6", why="it is the default"),
            Translation("--disable-jump-forward", "0.4.6", why="there is no jump-forward any more"),
            Translation("--disable-nan-detection", "0.4.6", why="detection is off unless asked for"),
            Translation(
                "--enable-nan-detection",
                "0.5.15",
                why="set SGLANG_SPEC_NAN_DETECTION=1 in engine.env if it is wanted",
            ),
            Translation("--collect-tokens-histogram", "0.5.20", why="it comes with --enable-metrics"),
            Translation("--load-watch-interval", "0.5.10", takes=None, why="it can no longer be set"),
            # Disaggregated prefill and decode
            Translation("--prefill-round-robin-balance", "0.5.20", why="it had no effect any more"),
            Translation("--disaggregation-decode-tp", "0.5.10", takes=None, why=_BOOTSTRAP),
            Translation("--disaggregation-decode-dp", "0.5.10", takes=None, why=_BOOTSTRAP),
            Translation("--disaggregation-prefill-pp", "0.5.10", takes=None, why=_BOOTSTRAP),
            Translation(
                "--optimistic-prefill-retries", "0.5.17", (f"--optimistic-prefill-attempts {VALUE}",), takes=None
            ),
        )
    }
)
