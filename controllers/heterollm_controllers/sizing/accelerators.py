"""The catalogue of accelerators: memory, speed, wires and price of one GPU, with sources (data/accelerators.json)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

__all__ = ["Gpu", "accelerator", "accelerator_names"]


@dataclass(frozen=True)
class Gpu:
    """One GPU.

    Attributes:
        name: catalogue name, for example A100-80GB.
        memory_mib: total memory in MiB as the driver reports it (nvidia-smi memory.total).
        bandwidth_gb_s: memory bandwidth in GB/s (10^9).
        bf16_tflops: dense BF16 TFLOP/s; fp8_tflops the same for FP8, 0 where the hardware has no FP8 units.
        link_gb_s: GB/s per direction of one GPU to the others of its node (NVLink, xGMI, or PCIe).
        network_gb_s: GB/s per direction and GPU to other nodes, as such nodes are usually built.
        per_node: GPUs of one usual node, one link domain.
        dollars_per_hour: price, in dollars; None where nobody knows it.
        vendor: nvidia or amd.
        blackwell: whether it is of NVIDIA's Blackwell generation, for which SGLang has kernels of its own.
    """

    name: str
    memory_mib: int
    bandwidth_gb_s: float
    bf16_tflops: float
    fp8_tflops: float
    link_gb_s: float
    network_gb_s: float
    per_node: int
    dollars_per_hour: float | None
    vendor: str = "nvidia"
    blackwell: bool = False

    @property
    def page_size(self) -> int:
        """Tokens of a KV page when none is asked for (SGLang's defaults)."""
        return 64 if self.blackwell else 1


@lru_cache(maxsize=1)
def _catalogue() -> dict[str, Gpu]:
    text = files(__package__).joinpath("data/accelerators.json").read_text(encoding="utf-8")
    return {name: _gpu(name, values) for name, values in json.loads(text)["accelerators"].items()}


def _gpu(name: str, values: dict[str, Any]) -> Gpu:
    return Gpu(
        name=name,
        memory_mib=values["memoryMiB"],
        bandwidth_gb_s=values["bandwidthGBs"],
        bf16_tflops=values["bf16Tflops"],
        fp8_tflops=values["fp8Tflops"],
        link_gb_s=values["linkGBs"],
        network_gb_s=values["networkGBs"],
        per_node=values["perNode"],
        dollars_per_hour=values["dollarsPerHour"],
        vendor=values["vendor"],
        blackwell=values.get("blackwell", False),
    )


def accelerator(name: str) -> Gpu | None:
    """The GPU of a catalogue name, or None."""
    return _catalogue().get(name)


def accelerator_names() -> tuple[str, ...]:
    """All catalogue names, in alphabetical order."""
    return tuple(sorted(_catalogue()))
