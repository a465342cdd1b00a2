"""Make SGLang believe that this machine has a certain NVIDIA GPU, by replacing what it asks, never what it computes.

Imported before sglang. Replaced, all of it outside sglang:

- the questions to torch about the GPU (is there one, its name, its compute capability, its memory);
- `nvidia-smi`, from which SGLang reads the memory that its automatic settings come from;
- packages of GPU kernels that the lock leaves out: importing one gives an empty shell, as no kernel is ever called.

SGLang's own platform override says the same as torch does, so that both ways of asking agree.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import subprocess
import sys
import types
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

KERNEL_PACKAGES = frozenset(
    {
        "cuda", "cutlass", "deep_ep", "deep_gemm", "flash_attn", "flash_mla", "flashinfer", "humming", "kernels",
        "nvshmem", "quack", "sgl_kernel", "tilelang",
    }
)  # fmt: skip
"""What requirements-cpu-unused.in leaves out of the environment and a machine with a GPU would have."""


@dataclass(frozen=True)
class Gpu:
    """A GPU to pretend.

    Attributes:
        memory_mib: what nvidia-smi reports as memory.total.
        capability: CUDA compute capability, for example (9, 0).
    """

    name: str
    memory_mib: int
    capability: tuple[int, int]


GPUS = {
    gpu.name: gpu
    for gpu in (
        Gpu("T4", 15360, (7, 5)),
        Gpu("L4", 23034, (8, 9)),
        Gpu("A100-40GB", 40960, (8, 0)),
        Gpu("L40S", 46068, (8, 9)),
        Gpu("A100-80GB", 81920, (8, 0)),
        Gpu("H100", 81559, (9, 0)),
        Gpu("H200", 143771, (9, 0)),
        Gpu("B200", 183359, (10, 0)),
    )
}


class _Anything(type):
    """The type of a class that has every attribute, and gives another such class for each and for being called.

    Called with a function it gives that function back, as it may be a decorator.
    """

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return args[0] if args and callable(args[0]) else _Anything(cls.__name__, (), {})

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        made = _Anything(name, (), {})
        setattr(cls, name, made)
        return made


class _Shell(types.ModuleType):
    """A module in which every name is a class without content."""

    __version__ = "999.0"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        made = _Anything(name, (), {})
        setattr(self, name, made)
        return made


class _Queue:
    """In place of a CUDA stream or event, which a model makes when it is built and uses when it runs."""

    cuda_stream = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take whatever is given."""


class _Shells(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the kernel packages that are not installed."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: Any = None) -> Any:
        """A shell for a kernel package or a part of one."""
        if name.partition(".")[0] not in KERNEL_PACKAGES:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """An empty shell."""
        return _Shell(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Nothing to run."""


def pretend(gpu: Gpu) -> None:
    """Replace the questions. Once per process: SGLang remembers the answers in many places."""
    import torch

    # Last in the row, so that a package that is installed wins.
    sys.meta_path.append(_Shells())
    total = gpu.memory_mib * 2**20
    answers: dict[str, Any] = {
        "is_available": True,
        "is_initialized": True,
        "_is_compiled": True,
        "current_device": 0,
        "device_count": 8,
        "get_device_name": f"NVIDIA {gpu.name}",
        "get_device_capability": gpu.capability,
        "mem_get_info": (total, total),
        "_lazy_init": None,
        "set_device": None,
        "synchronize": None,
        "empty_cache": None,
        "current_stream": _Queue(),
        "get_device_properties": types.SimpleNamespace(
            name=f"NVIDIA {gpu.name}",
            total_memory=total,
            major=gpu.capability[0],
            minor=gpu.capability[1],
            multi_processor_count=132,
            is_integrated=False,
        ),
    }
    for name, answer in answers.items():
        setattr(torch.cuda, name, lambda *args, _answer=answer, **kwargs: _answer)
    torch.cuda.Stream = torch.cuda.Event = _Queue
    real = subprocess.run

    def run(command: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(command, list) and command[:2] == ["nvidia-smi", "--query-gpu=memory.total"]:
            return subprocess.CompletedProcess(command, 0, stdout=f"{gpu.memory_mib}\n", stderr="")
        return real(command, *args, **kwargs)

    subprocess.run = run  # type: ignore[assignment]
    _declare(gpu)


def _declare(gpu: Gpu) -> None:
    from sglang.srt.runtime_context import override_platform

    major, minor = gpu.capability
    override_platform(
        is_cuda=True,
        is_hip=False,
        is_sm90=gpu.capability == (9, 0),
        is_sm100=major == 10,
        is_sm100_or_sm110=major in (10, 11),
        is_sm110=major == 11,
        is_sm120=major == 12,
        is_blackwell=major in (10, 12),
        is_hopper_with_cuda_12_3=major == 9,
        has_flashinfer=True,
        device_sm=major * 10 + minor,
        device_capability=gpu.capability,
    ).install()


def nowhere() -> Any:
    """A context in which a tensor that is explicitly asked for on the GPU is made without memory."""
    import torch
    from torch.overrides import TorchFunctionMode

    def moved(value: Any) -> Any:
        return "meta" if isinstance(value, torch.device | str) and str(value).startswith("cuda") else value

    class Nowhere(TorchFunctionMode):  # type: ignore[misc]
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func is torch.Tensor.cuda:
                return args[0].to("meta")
            places = args if func is not torch.Tensor.to else tuple(map(moved, args))
            return func(*places, **{name: moved(value) for name, value in (kwargs or {}).items()})

    return Nowhere()
