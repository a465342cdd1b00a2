"""The router's module for Envoy, built once per content of its sources, for tests and benchmarks.

It lies at `<cache>/router-module/<key>/libheterollm_router.so`, where the key covers everything that goes into it. It
appears there in one step, so whoever finds it can use it. The router's image builds its own (see its Dockerfile).
"""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from e2e.cluster.cache import Report, cache_dir, locked, print_report
from e2e.cluster.rust import Rust, find_rust

__all__ = ["MODULE", "ModuleError", "ensure_module"]

MODULE = Path(__file__).parents[2] / "router-image" / "module"
"""The Cargo package."""

_LIBRARY = "libheterollm_router.so"
_BUILD = ("build", "--release", "--offline", "--locked", "--quiet")


class ModuleError(RuntimeError):
    """The module could not be built; the message has the compiler's output."""


def ensure_module(report: Report = print_report, package: Path = MODULE) -> Path:
    """Return the path of the library, building it first unless it is in the cache.

    Raises:
        ModuleError: it does not compile.
        RustError: there is no Rust to build it with, and none can be installed.
    """
    rust = find_rust(report)
    sources = _sources(package)
    folder = cache_dir() / "router-module"
    library = folder / _key(rust, sources) / _LIBRARY
    if library.exists():
        return library
    with locked(folder / "build.lock", report):
        if not library.exists():
            _build(rust, sources, library, report)
    return library


def _sources(package: Path) -> dict[str, bytes]:
    """Return the content of every file that goes into the library, by its path in the package."""
    files = [package / "Cargo.toml", package / "Cargo.lock", *sorted((package / "src").rglob("*.rs"))]
    return {str(file.relative_to(package)): file.read_bytes() for file in files}


def _key(rust: Rust, sources: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256("\0".join((rust.description, *_BUILD)).encode())
    for name, content in sources.items():
        digest.update(f"\0{name}\0".encode() + hashlib.sha256(content).digest())
    return digest.hexdigest()[:16]


def _build(rust: Rust, sources: Mapping[str, bytes], library: Path, report: Report) -> None:
    started = time.monotonic()
    report("building the router's module (seconds)")
    folder = library.parent
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".build-") as name:
        work = Path(name)
        # From a copy: nothing is written into the checkout, and what is edited meanwhile is not mixed in.
        for path, content in sources.items():
            file = work / "package" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        command = [rust.cargo, *_BUILD, "--target-dir", str(work / "target")]
        run = subprocess.run(
            command, cwd=work / "package", env=rust.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, check=False,
        )  # fmt: skip
        if run.returncode != 0:
            raise ModuleError(f"building the router's module failed:\n{run.stdout.strip()}")
        output = work / folder.name
        output.mkdir()
        (work / "target" / "release" / _LIBRARY).rename(output / _LIBRARY)
        output.rename(folder)
    report(f"built the router's module in {time.monotonic() - started:.0f} s")
