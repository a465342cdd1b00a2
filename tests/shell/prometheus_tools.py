"""Where the programs of Prometheus are: on the path, or where the scenarios keep what they have fetched."""

from __future__ import annotations

import os
import shutil

import pytest

from e2e.cluster.cache import cache_dir

__all__ = ["needs", "tool"]

_FETCHED = cache_dir() / "monitoring" / "root" / "usr" / "bin"


def tool(name: str) -> str | None:
    """Path of a program; None where there is none."""
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), str(_FETCHED))))


def needs(*names: str) -> pytest.MarkDecorator:
    """Skip a test where one of the programs is missing."""
    missing = [name for name in names if tool(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")
