"""The catalogue of accelerators: memory, speed, wires and price of one GPU, with sources (data/accelerators.json)."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Gpu"]


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
        dollars_per_hour: default price.
        vendor: nvidia or amd.
    """

    name: str
    memory_mib: int
    bandwidth_gb_s: float
    bf16_tflops: float
    fp8_tflops: float
    link_gb_s: float
    network_gb_s: float
    per_node: int
    dollars_per_hour: float
    vendor: str = "nvidia"
