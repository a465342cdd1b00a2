"""Python's collector of cyclic garbage, told that this process makes many objects at once and few cycles."""

from __future__ import annotations

import gc

__all__ = ["collect_rarely"]


def collect_rarely() -> None:
    """Look for cycles after 100,000 new objects instead of 700.

    An answer of Prometheus about 1,000 clusters is 100,000 objects, all of them needed: the collector would go through
    them, and through everything else there is, a hundred times while they are made. It took half of a tick.
    """
    gc.set_threshold(100_000, 20, 100)
