"""Level 2 for one tier, a circuit breaker: it rests, gets a few requests, then a growing share, and is watched.

(no record) --fails--> Holding --time--> Probing --answers--> Ramping --shares--> Watching --time--> (no record)
                          ^                 |                    |                   |
                          +------fails------+--------fails-------+-------fails-------+   the rest doubles
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from heterollm_controllers.clock import parse, stamp
from heterollm_controllers.reasons import Reason
from heterollm_controllers.status_v1alpha1 import EscalationStatus
from heterollm_controllers.steering.health import Health, Judgement
from heterollm_controllers.steering_v1alpha1 import Fallback

__all__ = ["Turn", "next_turn", "opened"]

PROBED_PERCENT = 10
"""Most of a tier's requests that are risked on finding out whether it works."""
IDLE_SECONDS = 300
"""A tier that gets too few requests to be judged, and fails none of them for so long, goes on to its next share."""

_Phase = Literal["Holding", "Probing", "Ramping", "Watching"]


@dataclass(frozen=True)
class Turn:
    """What holds for a tier after a tick: None when nothing is remembered of it; and what was decided, if anything."""

    record: EscalationStatus | None
    action: Reason | None = None
    why: str = ""


def opened(tier: str, before: EscalationStatus | None, judged: Judgement, settings: Fallback, now: datetime) -> Turn:
    """The tier rests from now on; longer if it has failed before."""
    if before is None or before.phase == "Holding":
        hold, reopened = settings.hold_seconds, before.reopened if before is not None else ()
    else:
        hold = min(2 * before.hold_seconds, settings.longest_hold_seconds)
        horizon = now - timedelta(seconds=settings.reopenings_seconds)
        reopened = (*(time for time in before.reopened if parse(time) > horizon), stamp(now))[-16:]
    # Long enough for the figures, which come in late, to be of the probes alone.
    rest = max(hold, math.ceil(1.5 * judged.window))
    record = EscalationStatus(
        tier=tier,
        phase="Holding",
        percent=0,
        since=stamp(now),
        until=stamp(now + timedelta(seconds=rest)),
        hold_seconds=hold,
        reopened=reopened,
    )
    return Turn(record, Reason.TIER_ESCALATED, f"{judged.why}; it rests for {rest} s")


def next_turn(
    before: EscalationStatus, judged: Judgement, offered: float, serves: bool, settings: Fallback, now: datetime
) -> Turn:
    """One tick of a tier that failed.

    Args:
        judged: how it does with the requests that it gets.
        offered: requests per second that are meant for it.
        serves: whether it has an engine that serves.
    """
    if not judged.known:
        return Turn(before)
    if before.phase != "Holding" and judged.fails:
        return opened(before.tier, before, judged, settings, now)
    if before.until is not None and now < parse(before.until):
        return Turn(before)
    match before.phase:
        case "Holding":
            return _probed(before, offered, settings, now) if serves else Turn(before)
        case "Probing":
            return _after_probes(before, judged, settings, now)
        case "Ramping":
            return _further(before, judged, settings, now)
        case "Watching":
            return Turn(None)


def _probed(before: EscalationStatus, offered: float, settings: Fallback, now: datetime) -> Turn:
    """So small a share that about as many requests as are wanted come within 30 seconds."""
    wanted = 100 * settings.probe_requests / (30 * offered) if offered else PROBED_PERCENT
    percent = min(max(math.ceil(wanted), 1), PROBED_PERCENT)
    record = _moved(before, "Probing", percent, None, now)
    return Turn(
        record, Reason.TIER_PROBED, f"it has rested for {_seconds_since(before, now):.0f} s and gets {percent} %"
    )


def _after_probes(before: EscalationStatus, judged: Judgement, settings: Fallback, now: datetime) -> Turn:
    answered = judged.health is Health.FINE and judged.requests >= settings.probe_requests
    if not answered and not _has_waited(before, now):
        return Turn(before)
    return _at_share(before, settings.ramp_percent[0], judged, settings, now)


def _further(before: EscalationStatus, judged: Judgement, settings: Fallback, now: datetime) -> Turn:
    """The next share, once the tier was seen to work at this one."""
    if judged.health is not Health.FINE and not _has_waited(before, now):
        return Turn(before)
    larger = [percent for percent in settings.ramp_percent if percent > before.percent]
    return _at_share(before, min(larger, default=100), judged, settings, now)


def _at_share(before: EscalationStatus, percent: int, judged: Judgement, settings: Fallback, now: datetime) -> Turn:
    if percent >= 100:
        watched = settings.reopenings_seconds
        record = _moved(before, "Watching", 100, watched, now)
        return Turn(record, Reason.TIER_RECOVERED, f"{judged.why}; failures are remembered for {watched} s")
    # Long enough for the figures to be of this share alone.
    seconds = math.ceil(max(settings.ramp_seconds, judged.window))
    record = _moved(before, "Ramping", percent, seconds, now)
    return Turn(record, Reason.TIER_RETURNS, f"{judged.why}; it gets {percent} %")


def _has_waited(before: EscalationStatus, now: datetime) -> bool:
    return _seconds_since(before, now) >= IDLE_SECONDS


def _seconds_since(before: EscalationStatus, now: datetime) -> float:
    return (now - parse(before.since)).total_seconds()


def _moved(
    before: EscalationStatus, phase: _Phase, percent: int, seconds: int | None, now: datetime
) -> EscalationStatus:
    until = stamp(now + timedelta(seconds=seconds)) if seconds is not None else None
    update: dict[str, Any] = {"phase": phase, "percent": percent, "since": stamp(now), "until": until}
    return before.model_copy(update=update)
