"""Level 2 for one tier, a circuit breaker: it rests, gets a few requests, then a growing share, and is watched.

(no record) --fails--> Holding --time--> Probing --answers--> Ramping --shares--> Watching --time--> (no record)
                          ^                 |                    |                   |
                          +------fails------+--------fails-------+-------fails-------+   the rest doubles
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from heterollm_controllers.api.timestamps import whole_second
from heterollm_controllers.api.v1alpha1.fallback import Fallback
from heterollm_controllers.api.v1alpha1.status import EscalationStatus
from heterollm_controllers.api.vocabulary import EscalationPhase, Reason
from heterollm_controllers.traffic.stand_in import StandIn, needs_less, needs_more
from heterollm_controllers.traffic.tier_health import Health, Judgement

__all__ = ["Transition", "next_transition", "opened"]

PROBED_PERCENT = 10
"""Most of a tier's requests that are risked on finding out whether it works."""
DOUBTED_PERCENT = 50
"""Share that is risked when the stand-in does not answer all that it gets: either tier may be the one that works."""
IDLE_SECONDS = 300
"""A tier that gets too few requests to be judged, and fails none of them for so long, goes on to its next share."""


@dataclass(frozen=True)
class Transition:
    """What holds for a tier after a tick: None when nothing is remembered of it; and what was decided, if anything."""

    record: EscalationStatus | None
    action: Reason | None = None
    why: str = ""


def opened(
    tier: str, before: EscalationStatus | None, judged: Judgement, stand_in: StandIn, settings: Fallback, now: datetime
) -> Transition:
    """The tier rests from now on; longer if it has failed before. It keeps what its stand-in has no room for."""
    if before is None or (before.phase == "Holding" and before.percent == 0):
        hold, reopened = settings.hold_seconds, before.reopened if before is not None else ()
    else:
        hold = min(2 * before.hold_seconds, settings.longest_hold_seconds)
        horizon = now - timedelta(seconds=settings.reopenings_seconds)
        reopened = (*(time for time in before.reopened if time > horizon), whole_second(now))[-16:]
    rest = max(hold, _rest_of_figures(judged))
    record = EscalationStatus(
        tier=tier,
        phase="Holding",
        percent=stand_in.kept,
        since=now,
        until=now + timedelta(seconds=rest),
        hold_seconds=hold,
        reopened=reopened,
    )
    does = f"it keeps {stand_in.kept} % for {rest} s" if stand_in.kept else f"it rests for {rest} s"
    return Transition(record, Reason.TIER_ESCALATED, f"{judged.why}; {stand_in.why}; {does}")


def next_transition(
    before: EscalationStatus,
    judged: Judgement,
    offered: float,
    serves: bool,
    stand_in: StandIn,
    settings: Fallback,
    now: datetime,
) -> Transition:
    """One tick of a tier that failed.

    Args:
        judged: how it does with the requests that it gets.
        offered: requests per second that are meant for it.
        serves: whether it has an engine that serves.
        stand_in: the tier that answers what it does not get.
    """
    return _Breaker(before, judged, offered, serves, stand_in, settings, now).transition()


@dataclass(frozen=True)
class _Breaker:
    before: EscalationStatus
    judged: Judgement
    offered: float
    serves: bool
    stand_in: StandIn
    settings: Fallback
    now: datetime

    def transition(self) -> Transition:
        if not self.judged.known:
            return Transition(self.before)
        if self.before.phase == "Holding":
            return self._holding()
        if self.judged.fails and self.may_rest:
            return self._opened()
        if self.before.phase == "Watching":
            return Transition(self.before) if self.judged.fails or not self.is_over else Transition(None)
        return self._with_no_room() or self._returning()

    @property
    def age(self) -> float:
        """Seconds for which it has been in this phase, with this share."""
        return (self.now - self.before.since).total_seconds()

    @property
    def is_over(self) -> bool:
        return self.before.until is None or self.now >= self.before.until

    @property
    def is_fine(self) -> bool:
        return self.judged.health is Health.FINE

    @property
    def has_answered(self) -> bool:
        return self.is_fine and self.judged.requests >= self.settings.probe_requests

    @property
    def may_rest(self) -> bool:
        """Whether another tier may answer for it now.

        One that gave all requests back cannot be seen to fail any more: it must be seen to work, or be given time.
        """
        given_back = self.before.percent == 100 and self.before.phase != "Watching"
        known = not given_back or self.stand_in.works or self.age >= IDLE_SECONDS
        return self.stand_in.usable and known

    @property
    def least(self) -> int:
        """Share that it gets when it is tried: what its stand-in has no room for; half if that does not answer all."""
        return max(self.stand_in.kept, DOUBTED_PERCENT if self.stand_in.doubted else 0)

    def _opened(self) -> Transition:
        return opened(self.before.tier, self.before, self.judged, self.stand_in, self.settings, self.now)

    def _holding(self) -> Transition:
        """Until its time is over; less if it is seen to work, or has to be tried as its stand-in does not do."""
        is_settled = self.age >= _rest_of_figures(self.judged)
        # Far from failing, so that one at the edge of it does not come and go.
        works = self.has_answered and self.judged.percent < self.settings.failed_percent / 2
        if self.before.percent > 0 and is_settled and works:
            return self._at_share(self._larger())
        tried_early = self.before.percent == 0 and is_settled and self.stand_in.doubted and self.serves
        if not self.is_over and not tried_early:
            return self._with_no_room() or self._with_room()
        if not self.serves:
            return Transition(self.before)
        return (
            self._opened() if self.before.percent > 0 and self.judged.fails and self.stand_in.usable else self._probed()
        )

    def _probed(self) -> Transition:
        """So small a share that about as many requests as are wanted come within 30 seconds, if its stand-in does."""
        wanted = 100 * self.settings.probe_requests / (30 * self.offered) if self.offered else PROBED_PERCENT
        percent = max(min(max(math.ceil(wanted), 1), PROBED_PERCENT), self.before.percent, self.least)
        why = f"it has rested for {self.age:.0f} s"
        why = f"{why}; {self.stand_in.why}" if self.stand_in.doubted else why
        return Transition(self._moved("Probing", percent, None), Reason.TIER_PROBED, f"{why}; it gets {percent} %")

    def _returning(self) -> Transition:
        """The next share, once the tier was seen to work at this one."""
        # What is known at the moment at which a trial begins is from before it.
        works = self.has_answered and self.age > 0 if self.before.phase == "Probing" else self.is_fine
        if self.judged.fails or not self.is_over or not (works or self.age >= IDLE_SECONDS):
            return Transition(self.before)
        return self._at_share(self._larger())

    def _larger(self) -> int:
        larger = [percent for percent in self.settings.ramp_percent if percent > self.before.percent]
        return max(min(larger, default=100), self.least)

    def _at_share(self, percent: int) -> Transition:
        if percent >= 100:
            watched = self.settings.reopenings_seconds
            why = f"{self.judged.why}; failures are remembered for {watched} s"
            return Transition(self._moved("Watching", 100, watched), Reason.TIER_RECOVERED, why)
        why = f"{self.judged.why}; it gets {percent} %"
        return Transition(self._moved("Ramping", percent, self._step_seconds()), Reason.TIER_RETURNS, why)

    def _with_no_room(self) -> Transition | None:
        """With what its stand-in has no room for any more, if that is clearly more than it gets."""
        percent = self.stand_in.kept if self.before.phase == "Holding" else self.least
        if not needs_more(self.before.percent, percent):
            return None
        record = self.before.model_copy(update={"percent": percent, "since": whole_second(self.now)})
        if self.before.phase == "Ramping":
            record = self._moved("Ramping", percent, self._step_seconds())
        return Transition(record, Reason.TIER_RETURNS, f"{self.stand_in.why}; it gets {percent} %")

    def _with_room(self) -> Transition:
        """With less, if its stand-in has grown since or is well again."""
        percent, stand_in = self.before.percent, self.stand_in
        if not needs_less(percent, stand_in, self.before.since):
            return Transition(self.before)
        record = self.before.model_copy(update={"percent": stand_in.kept, "since": whole_second(self.now)})
        return Transition(record, Reason.TIER_ESCALATED, f"{stand_in.why}; it keeps {stand_in.kept} %")

    def _step_seconds(self) -> int:
        """Long enough for the metrics to be of this share alone."""
        return math.ceil(max(self.settings.ramp_seconds, self.judged.window))

    def _moved(self, phase: EscalationPhase, percent: int, seconds: int | None) -> EscalationStatus:
        until = whole_second(self.now + timedelta(seconds=seconds)) if seconds is not None else None
        update: dict[str, Any] = {"phase": phase, "percent": percent, "since": whole_second(self.now), "until": until}
        return self.before.model_copy(update=update)


def _rest_of_figures(judged: Judgement) -> int:
    """Seconds after which the metrics, which come in late, are of this share alone."""
    return math.ceil(1.5 * judged.window)
