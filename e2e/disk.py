"""Whether there is room for the images of a kind of engine, said before anything is built."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from e2e.cluster.cache import cache_dir
from e2e.cluster.node.layout import Layout

__all__ = ["missing_disk"]

_NEEDED_GB = {"simulated": 5.0, "sglang": 31.0}
"""The most that images take on a cluster of one's own: an image is in the build store, in its archive, and twice in the
node (as it came, and unpacked). The real server is an image of about 7 GB. What compiles the router's module, 0.7 GB,
is in the build store only."""
_MARGIN_GB = 1.0
"""Needed besides, when everything is there already."""


def missing_disk(engine: str, layout: Layout) -> str:
    """A complaint if the disk is too small for the images of an engine in a cluster; empty if it is not.

    What earlier runs have left there counts, as it is used again.
    """
    folder = cache_dir()
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free / 1e9
    if free >= _NEEDED_GB[engine]:
        return ""
    # Counting takes many seconds.
    there = (_size(folder / "images") + _size(layout.images)) / 1e9
    needed = max(_NEEDED_GB[engine] - there, _MARGIN_GB)
    if free >= needed:
        return ""
    return (
        f"not enough disk at {folder}: the images of {engine} engines need {needed:.0f} GB more, {free:.0f} GB are free"
        " (HETEROLLM_CACHE names another folder)"
    )


def _size(folder: Path) -> int:
    """Bytes that the files below a folder take on the disk; files that vanish meanwhile take none."""
    total = 0
    for path, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.lstat(Path(path, name)).st_blocks * 512
            except FileNotFoundError:
                continue
    return total
