"""The cache folder that builds share across checkouts, and the lock that keeps two builds apart."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Report", "cache_dir", "locked", "print_report"]

Report = Callable[[str], None]
"""Takes one line of progress."""


def print_report(line: str) -> None:
    """Print a line of progress at once, also when the output goes to a file."""
    print(line, flush=True)


def cache_dir() -> Path:
    """Return the folder of everything that is built once and used by every checkout."""
    return Path(os.environ.get("HETEROLLM_CACHE") or Path.home() / ".cache" / "heterollm")


@contextmanager
def locked(path: Path, report: Report) -> Iterator[None]:
    """Hold an exclusive lock on a file; the kernel releases it however the process ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(f"waiting for another build ({path} is locked)")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
