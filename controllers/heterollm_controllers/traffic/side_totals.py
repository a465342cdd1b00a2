"""Totals of the two sides of a migration, from requests counted minute by minute; and how they come in bursts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from heterollm_controllers.api.decimals import DecimalNumber
from heterollm_controllers.api.v1alpha1.migration_status import SideTotals
from heterollm_controllers.metrics.side_minutes import MINUTE, Outcome, Side, SideMinutes

__all__ = ["LATEST", "Span", "Tally", "bursts", "last_known", "lately", "tallied", "together"]

LATEST = MINUTE
"""Minutes younger than this are not counted yet: some of their samples may still be on their way."""
_LATELY = 10
"""Minutes from which the present rate is taken."""
_SUPPOSED_MINUTES = 30
"""It is supposed that bad requests came one by one for so long: a few of them look like bursts by chance."""


@dataclass(frozen=True)
class Tally:
    """What was counted of a step.

    Attributes:
        counted: the end of the last minute that is in it, or left out.
        missing: minutes of which Prometheus knew nothing.
    """

    small: SideTotals
    control: SideTotals
    counted: datetime
    missing: int = 0


@dataclass(frozen=True)
class Span:
    """What of the time counts.

    Attributes:
        begin: minutes that begin earlier do not.
        end: minutes that end later do not.
        timed: from when on it counts how soon answers begin.
    """

    begin: datetime
    end: datetime
    timed: datetime


def tallied(before: Tally, minutes: SideMinutes, tiers: Collection[str], span: Span) -> Tally:
    """With the minutes that have become known since. `tiers`: whose requests count."""
    begin = max(before.counted, span.begin)
    small, control, known, until = _Sums(), _Sums(), 0, begin
    kinds = _kinds(minutes, tiers)
    for place, end in enumerate(minutes.ends()):
        if end - MINUTE < begin or end > span.end:
            continue
        until = end
        counts = _counts(kinds, place)
        if counts is not None:
            known += 1
            timed = end - MINUTE >= span.timed
            small.add(counts, timed=timed, diverted=False)
            control.add(counts, timed=timed, diverted=True)
    if until == begin:
        return before
    missing = max(round((until - begin) / MINUTE) - known, 0)
    return Tally(
        small=together(before.small, small.totals()),
        control=together(before.control, control.totals()),
        counted=until,
        missing=before.missing + missing,
    )


def last_known(minutes: SideMinutes, tiers: Collection[str]) -> datetime | None:
    """The end of the last minute of which something is known."""
    ends, kinds = minutes.ends(), _kinds(minutes, tiers)
    return next((ends[place] for place in reversed(range(len(ends))) if _counts(kinds, place) is not None), None)


def lately(minutes: SideMinutes, tiers: Collection[str]) -> float | None:
    """Requests of the small side per second in the last minutes; None when nothing is known of them."""
    count, kinds = len(minutes.ends()), _kinds(minutes, tiers)
    found = [_counts(kinds, place) for place in range(max(count - _LATELY, 0), count)]
    known = [sum(counts[False].values()) for counts in found if counts is not None]
    return sum(known) / (MINUTE.total_seconds() * len(known)) if known else None


def together(one: SideTotals, other: SideTotals) -> SideTotals:
    """The totals of both."""
    return SideTotals(
        minutes=one.minutes + other.minutes,
        requests=one.requests + other.requests,
        failed=one.failed + other.failed,
        failed_bursts=_figure(one.failed_bursts + other.failed_bursts),
        streamed=one.streamed + other.streamed,
        slow=one.slow + other.slow,
        slow_bursts=_figure(one.slow_bursts + other.slow_bursts),
    )


def bursts(minutes: int, requests: int, bad: int, squares: float) -> float:
    """How many bad requests come at a time, 1 at least: their variance over what it were if they came one by one.

    Pearson's X2 over its degrees of freedom, of `bad` in `requests` by minutes. It is the variance over the mean of the
    bad ones per minute where each minute has as many requests, but does not take a busy hour for a burst.

    Args:
        squares: sum over the minutes of bad x bad / requests.
    """
    if minutes < 2 or not 0 < bad < requests:
        return 1.0
    share, freedom = bad / requests, minutes - 1
    found = (squares - bad * share) / (share * (1 - share))
    return max(1.0, (found + _SUPPOSED_MINUTES) / (freedom + _SUPPOSED_MINUTES))


_Kinds = list[tuple[Side, bool, Sequence[float]]]
"""With whether its requests count."""
_Counts = dict[bool, dict[Outcome, int]]
"""By whether they were diverted, and by how they ended."""


def _kinds(minutes: SideMinutes, tiers: Collection[str]) -> _Kinds:
    return [(side, side.tier in tiers, series) for side, series in minutes.counts.items()]


def _counts(kinds: _Kinds, place: int) -> _Counts | None:
    """What ended in one minute; None when nothing is known of it, not even of requests that do not count."""
    found: _Counts = {False: {}, True: {}}
    known = False
    for side, is_counted, series in kinds:
        if place < len(series) and (value := series[place]) == value:  # No NaN.
            known = True
            if is_counted:
                counts = found[side.diverted]
                counts[side.outcome] = counts.get(side.outcome, 0) + round(value)
    return found if known else None


@dataclass
class _Sums:
    """`SideTotals` on the way: plain numbers, as they are added for every minute at every tick."""

    minutes: int = 0
    requests: int = 0
    failed: int = 0
    failed_bursts: float = 0.0
    streamed: int = 0
    slow: int = 0
    slow_bursts: float = 0.0

    def add(self, counts: _Counts, *, timed: bool, diverted: bool) -> None:
        ended = counts[diverted]
        requests = sum(ended.values())
        if not requests:
            return
        failed, slow = ended.get("failed", 0), ended.get("slow", 0)
        self.minutes += 1
        self.requests += requests
        self.failed += failed
        self.failed_bursts += failed * failed / requests
        streamed = ended.get("ok", 0) + slow
        if timed and streamed:
            self.streamed += streamed
            self.slow += slow
            self.slow_bursts += slow * slow / streamed

    def totals(self) -> SideTotals:
        numbers = {name: value for name, value in vars(self).items() if not name.endswith("bursts")}
        bursts_of = {name: _figure(value) for name, value in vars(self).items() if name.endswith("bursts")}
        return SideTotals(**numbers, **bursts_of)


def _figure(value: float) -> DecimalNumber:
    return DecimalNumber(f"{value:.6f}".rstrip("0").rstrip(".") or "0")
