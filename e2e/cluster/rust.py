"""Find a Rust toolchain that is new enough, or install Debian's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass

from e2e.cluster.cache import Report, cache_dir, locked
from e2e.cluster.debian import PackageError, install

__all__ = ["MINIMUM", "Rust", "RustError", "find_rust"]

MINIMUM = (1, 63)
"""The version in Debian 12, which builds the router's image."""

_DEBIANS = "/usr/bin"
# What would change what is built, or where; further settings (linkers, proxies) are this machine's own.
_DROPPED = (
    "RUSTC",
    "RUSTFLAGS",
    "RUSTDOCFLAGS",
    "CARGO_BUILD_",
    "CARGO_ENCODED_",
    "CARGO_PROFILE_",
    "CARGO_TARGET_DIR",
)


class RustError(RuntimeError):
    """No usable Rust toolchain; the message says what to install."""


@dataclass(frozen=True)
class Rust:
    """A Rust toolchain; `description` is what its compiler says of itself: version, commit, machine."""

    cargo: str
    rustc: str
    description: str

    @property
    def environment(self) -> dict[str, str]:
        """The environment to run `cargo` in."""
        return {**_environment(), "RUSTC": self.rustc}


def find_rust(report: Report) -> Rust:
    """Return the system's Rust if it is new enough, else Debian's, installed first if need be.

    Raises:
        RustError: there is none, and none can be installed.
    """
    found = _usable()
    if found is not None:
        return found
    wanted = f"the router's module needs cargo and rustc {'.'.join(map(str, MINIMUM))} or newer"
    # Two installations at once would fail: apt waits for nobody.
    with locked(cache_dir() / "rust.lock", report):
        found = _usable()
        if found is None:
            try:
                install(["cargo"], report)
            except PackageError as error:
                raise RustError(f"{wanted}: {error}") from None
            found = _usable()
    if found is None:
        raise RustError(f"{wanted}, and Debian's cargo brought none")
    return found


def _usable() -> Rust | None:
    """Return the first toolchain that is new enough: of PATH, or Debian's behind it."""
    for path in (None, _DEBIANS):
        cargo, rustc = (shutil.which(program, path=path) for program in ("cargo", "rustc"))
        if cargo is None or rustc is None:
            continue
        # One of rustup's that has no toolchain to pass the call on to fails here.
        run = subprocess.run([rustc, "-vV"], env=_environment(), capture_output=True, text=True, check=False)
        if run.returncode == 0 and _version(run.stdout) >= MINIMUM:
            return Rust(cargo, rustc, run.stdout)
    return None


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(_DROPPED)}


def _version(description: str) -> tuple[int, ...]:
    match = re.search(r"^release: (\d+)\.(\d+)", description, re.MULTILINE)
    return tuple(int(part) for part in match.groups()) if match is not None else ()
