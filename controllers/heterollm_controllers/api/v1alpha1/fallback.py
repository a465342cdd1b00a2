"""When the tiers of a cluster answer for each other."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from heterollm_controllers.api.schema import Percent, Seconds, WireType, rules
from heterollm_controllers.api.vocabulary import FallbackState

__all__ = ["Fallback"]


class Fallback(WireType):
    """Levels 2 and 3 of the fallback: a failing tier's requests go to the last one; then all requests do."""

    force: Annotated[
        FallbackState | None,
        Field(description="Stay in this state whatever the figures say; decided from them if absent."),
    ] = None
    dry_run: Annotated[
        bool, Field(description="Only report in status what would be done; the routers are told nothing.")
    ] = False
    min_requests: Annotated[
        int, Field(ge=1, le=1_000_000, description="Fewest requests in 30 seconds from which failure is concluded.")
    ] = 20
    failed_percent: Annotated[
        Percent, Field(description="Level 2 opens when so many of a tier's requests failed or were slow.")
    ] = 50
    slow_milliseconds: Annotated[
        Literal[1_000, 2_500, 5_000, 10_000, 30_000, 60_000],
        Field(description="A request is slow when its first byte takes longer (a bucket of the routers' histograms)."),
    ] = 30_000
    hold_seconds: Annotated[
        Seconds, Field(description="How long a tier rests when level 2 opens; doubled when it fails again.")
    ] = 300
    longest_hold_seconds: Annotated[Seconds, Field(description="Longest rest of a tier.")] = 1_800
    probe_requests: Annotated[
        int, Field(ge=1, le=10_000, description="Requests that a rested tier must answer before its share grows.")
    ] = 10
    ramp_percent: Annotated[
        tuple[Percent, ...],
        Field(min_length=1, max_length=8, description="Shares that a recovering tier gets back, one after the other."),
    ] = (10, 50, 100)
    ramp_seconds: Annotated[Seconds, Field(description="Least time at each share, without failure.")] = 30
    reopenings: Annotated[
        int, Field(ge=1, le=10, description="Level 3 opens when a tier failed again so often within the time below.")
    ] = 3
    # With rests that double from five minutes, the third failure comes 37 minutes after the first at the earliest.
    reopenings_seconds: Annotated[Seconds, Field(description="The time in which failures are counted.")] = 3_600
    clean_seconds: Annotated[
        Seconds, Field(description="How long level 3 must have been without failure before it closes.")
    ] = 900
    recovery_percent: Annotated[
        tuple[Percent, ...],
        Field(min_length=1, max_length=8, description="Shares that the tiers get back when level 3 closes."),
    ] = (10, 30, 60, 80, 100)

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("self.holdSeconds <= self.longestHoldSeconds", "holdSeconds must not exceed longestHoldSeconds"),
            (
                "self.rampPercent.all(p, p == 100 || self.rampPercent.exists(q, q > p))"
                " && self.recoveryPercent.all(p, p == 100 || self.recoveryPercent.exists(q, q > p))",
                "rampPercent and recoveryPercent must end at 100",
            ),
        )
    )
