"""The other gateways, each in a cached environment of its own and never in the project's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

__all__ = ["Absent", "environment"]

_LOCK = Path(__file__).parents[3] / "requirements" / "bench-router.txt"
_UV = (sys.executable, "-m", "uv")
_LIMIT = 600.0
"""Seconds for one installation."""


class Absent(Exception):
    """A side cannot take part; the message says why."""


def environment(package: str) -> Path:
    """The `bin` directory of an environment with this package (extras included) as locked, installed if need be."""
    lock = _LOCK.read_text(encoding="utf-8")
    name = package.partition("[")[0]
    pinned = re.search(rf"^{re.escape(name)}==(\S+)", lock, re.MULTILINE)
    if pinned is None:
        raise Absent(f"{name} is not in {_LOCK.name}")
    place = _cache() / f"{name}-{pinned[1]}-{sha256(lock.encode()).hexdigest()[:12]}"
    if not place.exists():
        _install(f"{package}=={pinned[1]}", place)
    return place / "bin"


def _cache() -> Path:
    root = os.environ.get("HETEROLLM_CACHE")
    return (Path(root) if root else Path.home() / ".cache" / "heterollm") / "bench-router"


def _install(requirement: str, place: Path) -> None:
    """The lock constrains what is installed, so that each environment holds only what its package needs."""
    print(f"==> installing {requirement}", file=sys.stderr)
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        _run("venv", "--quiet", "--python", sys.executable, place)
        _run(
            *("pip", "install", "--quiet", "--python", place / "bin" / "python"),
            *("--require-hashes", "--constraint", _LOCK, requirement),
        )
    except (subprocess.SubprocessError, OSError) as error:
        shutil.rmtree(place, ignore_errors=True)
        said = getattr(error, "stderr", None)
        raise Absent(f"{requirement} cannot be installed: {said or error}") from error


def _run(*words: str | Path) -> None:
    subprocess.run([*_UV, *words], check=True, timeout=_LIMIT, stderr=subprocess.PIPE, text=True)
