"""How many engines a tier needs: for what is forecast, and for what it had to do of late."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache

from heterollm_controllers.api.signals import TierSignal
from heterollm_controllers.api.v1alpha1.tier import Tier
from heterollm_controllers.capacity.forecast import forecast
from heterollm_controllers.metrics.readings import History
from heterollm_controllers.metrics.tier_metrics import TierMetrics
from heterollm_controllers.observation.tier_state import TierState

__all__ = ["Need", "ahead", "is_asked_for", "needed", "needed_by_nobody"]

ROOM_FOR_RATE, ROOM_FOR_RATE_OF_LAST, ROOM_FOR_PEAK = 1.1, 1.05, 1.15
"""What a forecast is multiplied with (R15)."""
START_SECONDS = 180.0
"""How long an engine takes to start while none was seen doing it."""
TICK_SECONDS = 5.0
NO_ENGINE = 0.1
"""Share of an engine for which not even the first is started."""
FEWEST_REQUESTS, COUNTED_SECONDS = 0.5, 300.0
"""Fewer requests than this in that time, or in the window if that is longer, are none: some residue of a rate."""


@dataclass(frozen=True)
class Need:
    """Engines that are needed, from which metrics; of a forecast also how far it looked and how far it missed."""

    engines: int
    why: str
    horizon: int = 0
    """Seconds."""
    error: float | None = None


def is_asked_for(metrics: TierMetrics) -> bool | None:
    """Whether requests for the tier came of late; None when nobody knows."""
    offered = metrics.rate(TierSignal.OFFERED)
    return None if offered is None else _is_some(offered, metrics.window)


def _is_some(rate: float, window: float = 0.0) -> bool:
    return rate * max(COUNTED_SECONDS, window) >= FEWEST_REQUESTS


def ahead(tier: Tier, tier_state: TierState, history: History, *, last: bool) -> Need | None:
    """Engines needed when one that is started now is ready; None when nothing can be said."""
    seconds = (tier_state.start_seconds or START_SECONDS) + tier.scaling.node_seconds + TICK_SECONDS
    minutes = math.ceil(seconds / 60)
    room = ROOM_FOR_RATE_OF_LAST if last else ROOM_FOR_RATE
    needs = [
        _forecast(tuple(history.rate), minutes, room, tier_state.rate, "requests/s"),
        _forecast(tuple(history.concurrency), minutes, ROOM_FOR_PEAK, tier_state.concurrency, "requests at once"),
    ]
    found = [need for need in needs if need is not None]
    return max(found, key=lambda need: need.engines, default=None)


@lru_cache(maxsize=8192)
def _forecast(metrics: tuple[float, ...], minutes: int, room: float, of_one: float | None, unit: str) -> Need | None:
    found = forecast(metrics, minutes) if of_one else None
    if found is None or not of_one:
        return None
    missed = "" if found.error is None else f", forecasts missed by {100 * found.error:.0f} % of late"
    why = f"{found.value:.1f} {unit} forecast in {minutes} min, times {room:g}, at {of_one:g} per engine{missed}"
    engines = found.value * room / of_one
    return Need(math.ceil(engines) if engines >= NO_ENGINE else 0, why, 60 * minutes, found.error)


def needed(
    tier: Tier, tier_state: TierState, metrics: TierMetrics, coming: Need | None, window: timedelta, wanted: int
) -> Need | None:
    """Engines that the peak of the window needs, with head-room; None when anything it takes is unknown.

    Never fewer than what is coming.

    Args:
        wanted: engines that the tier should have, of which some may not serve.
    """
    serving, minutes = len(tier_state.serving), math.ceil(window / timedelta(minutes=1))
    if not serving or metrics.known * 2 < serving or metrics.queue is None:
        return None
    room = 1 + tier.scaling.headroom_percent / 100
    concurrency, kv_use = _peak(metrics.history.concurrency, minutes), _peak(metrics.history.kv_use, minutes)
    # What was offered of late counts, too: others may have answered it.
    rate = max(filter(None, [_peak(metrics.history.rate, minutes), metrics.rate(TierSignal.OFFERED)]), default=0.0)
    needs: list[Need] = []
    if concurrency is not None and tier_state.concurrency:
        # An engine without metrics may have as much to do as the others.
        unseen = serving / metrics.known
        why = f"at most {concurrency:.0f} requests at once in {minutes} min, {tier_state.concurrency} per engine"
        needs.append(Need(math.ceil(concurrency * unseen * room / tier_state.concurrency), why))
    if kv_use is not None:
        # A share says nothing of engines that have gone since: without other metrics, as if all had had theirs.
        sharing = serving if needs else max(serving, wanted)
        most = tier.scaling.kv_use_percent / 100
        why = f"at most {100 * kv_use:.0f} % of the KV cache in {minutes} min"
        needs.append(Need(math.ceil(sharing * kv_use * room / most), why))
    if not needs:
        return None
    if tier_state.rate and rate:
        why = f"at most {rate:.1f} requests/s in {minutes} min, {tier_state.rate:g} per engine"
        needs.append(Need(math.ceil(rate * room / tier_state.rate), why))
    if coming is not None:
        needs.append(coming)
    most_needed = max(needs, key=lambda need: need.engines)
    # Who was asked for a moment ago would be woken up again at once.
    idle = concurrency == 0 and not _is_some(rate) and is_asked_for(metrics) is False
    return most_needed if idle and tier.replicas.min == 0 else _at_least_one(most_needed)


def needed_by_nobody(tier: Tier, metrics: TierMetrics, coming: Need | None) -> Need | None:
    """Engines that a tier needs of which none serves: what is coming, if nobody asks for it; else None."""
    if is_asked_for(metrics) is not False:
        return None
    need = coming or Need(0, "")
    need = Need(need.engines, need.why if need.engines else "nobody asks for it")
    return need if tier.replicas.min == 0 else _at_least_one(need)


def _at_least_one(need: Need) -> Need:
    return Need(max(need.engines, 1), need.why)


def _peak(metrics: Sequence[float], minutes: int) -> float | None:
    """The highest of the last minutes; None unless each of them is known."""
    latest = metrics[-minutes:]
    known = len(latest) == minutes and not any(math.isnan(value) for value in latest)
    return max(latest) if known else None
