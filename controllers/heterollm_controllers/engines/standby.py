"""Engines that are kept ready without requests."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from heterollm_controllers.observation.engines import ObservedEngine

__all__ = ["on_standby"]


def on_standby(
    engines: Sequence[ObservedEngine], target: int, standby: Collection[str], load: Mapping[str, float]
) -> frozenset[str]:
    """Of the engines that could serve those beyond the target: they are kept ready, and get no requests.

    Whoever gets requests goes on getting them, the busiest first; a place that becomes free is filled at once.
    """
    able = [engine for engine in engines if engine.serving]
    ranked = sorted(able, key=lambda engine: (engine.name in standby, -load.get(engine.name, math.inf), engine.ordinal))
    return frozenset(engine.name for engine in ranked[target:])
