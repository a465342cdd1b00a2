"""Mutants of the router's module, by cargo-mutants, against `cargo test`."""

from __future__ import annotations

import json
import math
import subprocess
from collections import Counter
from hashlib import sha256
from pathlib import Path

from e2e.cluster.cache import cache_dir, locked, print_report
from tests.mutation.scratch import SCRATCH

__all__ = ["Incomplete", "run"]

_MODULE = Path(__file__).parents[2] / "router-image" / "module"
_VERSION = "27.1.0"
_LEFT_OUT = "src/abi/**"
"""What talks to Envoy: `cargo test` runs without it. `tests/router` is for that, and takes too long here."""
_ENDED = {"CaughtMutant": "killed", "MissedMutant": "survived", "Timeout": "timeout"}
_DONE = (0, 2, 3)
"""Exit codes of cargo-mutants: all caught, some missed, some timed out."""


class Incomplete(RuntimeError):
    """The run could not go on; the message, or the output before it, says why."""


def run(sample: int | None, seed: int, jobs: int) -> Counter[str]:
    """Try the mutants, or about so many of them, and return how many ended in which way.

    What an earlier run of the same has caught is not tried again. A mutant that does not compile is none.
    """
    program, shards = _installed(), 1
    if sample is not None:
        shards = max(1, math.ceil(_count(program) / sample))
    shard = f"{seed % shards}/{shards}"
    place = SCRATCH / f"module-{_fingerprint()[:12]}-{shard.replace('/', '-of-')}"
    place.mkdir(parents=True, exist_ok=True)
    code = subprocess.run(
        [
            *(str(program), "mutants", "--exclude", _LEFT_OUT, "--iterate", "--output", str(place)),
            *("--jobs", str(jobs), "--shard", shard, "--sharding", "round-robin"),
        ],
        cwd=_MODULE,
        check=False,
    ).returncode
    if code not in _DONE:
        raise Incomplete(f"cargo-mutants ended: see {place}/mutants.out")
    print(f"==> those that survived are in {place}/mutants.out/missed.txt")
    return _counts(place / "mutants.out")


def _counts(output: Path) -> Counter[str]:
    outcomes = json.loads((output / "outcomes.json").read_text())["outcomes"]
    counts = Counter(_ENDED[item["summary"]] for item in outcomes if item["summary"] in _ENDED)
    earlier = output / "previously_caught.txt"
    counts["killed"] += len(earlier.read_text().splitlines()) if earlier.exists() else 0
    return counts


def _count(program: Path) -> int:
    words = [str(program), "mutants", "--exclude", _LEFT_OUT, "--list"]
    return len(subprocess.run(words, cwd=_MODULE, check=True, capture_output=True, text=True).stdout.splitlines())


def _fingerprint() -> str:
    digest = sha256()
    for file in sorted(_MODULE.glob("src/**/*.rs")):
        digest.update(f"{file}\n".encode() + file.read_bytes())
    return digest.hexdigest()


def _installed() -> Path:
    """cargo-mutants of this version, built from crates.io where it is not there yet.

    It wants a newer Rust than the module: in Debian 12 that of `apt-get install cargo-web`.
    """
    root = cache_dir() / f"cargo-mutants-{_VERSION}"
    program = root / "bin" / "cargo-mutants"
    with locked(cache_dir() / "cargo-mutants.lock", print_report):
        if not program.exists():
            print_report(f"==> building cargo-mutants {_VERSION} (minutes)")
            words = ["cargo", "install", "--quiet", "--locked", "--version", _VERSION, "--root"]
            try:
                subprocess.run([*words, str(root), "cargo-mutants"], check=True)
            except (OSError, subprocess.CalledProcessError) as error:
                raise Incomplete(f"cargo-mutants cannot be built ({error}): it needs cargo of Rust 1.88") from error
    return program
