"""What status remembers of a migration."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from heterollm_controllers.api.decimals import DecimalNumber
from heterollm_controllers.api.schema import Figure, Time, WireType
from heterollm_controllers.api.vocabulary import GateName, GateState, MigrationMode, MigrationState

__all__ = ["GateStatus", "MigrationStatus", "SideTotals"]


class SideTotals(WireType):
    """What was counted of the requests of one side. Minutes without any are not counted."""

    minutes: Annotated[int, Field(ge=0, description="Minutes in which requests ended.")] = 0
    requests: Annotated[int, Field(ge=0, description="Requests; not those refused or given up by clients.")] = 0
    failed: Annotated[
        int, Field(ge=0, description="Those that nobody answered, or another tier than was to, for it failed.")
    ] = 0
    failed_bursts: Annotated[
        Figure, Field(description="Sum over the minutes of failed x failed / requests: tells bursts.")
    ] = DecimalNumber("0")
    streamed: Annotated[int, Field(ge=0, description="Streamed answers whose first byte was timed.")] = 0
    slow: Annotated[int, Field(ge=0, description="Those that began later than gates.firstByteMs.")] = 0
    slow_bursts: Annotated[Figure, Field(description="Sum over the minutes of slow x slow / streamed.")] = (
        DecimalNumber("0")
    )


class GateStatus(WireType):
    """What a gate says at this step."""

    name: Annotated[GateName, Field(description="Errors, FirstByte or Cost.")]
    state: Annotated[
        GateState,
        Field(
            description=(
                "Passed; Failed; Undecided: not enough is known; BothFail: the last tier is no better, so that the"
                " others are not to blame."
            )
        ),
    ]
    evidence: Annotated[
        Figure | None, Field(description="How many to one the requests speak for going on; 20 is enough.")
    ] = None
    against: Annotated[Figure | None, Field(description="How many to one they speak for going back; 20 is enough.")] = (
        None
    )
    requests_needed: Annotated[
        int | None, Field(ge=0, description="Further requests until it passes, if they go on like this.")
    ] = None
    expected_at: Annotated[Time | None, Field(description="When that will be, at the present rate.")] = None
    message: Annotated[str, Field(max_length=512, description="From which figures, for people.")]


class MigrationStatus(WireType):
    """How far the migration is. Written at decisions, and once an hour."""

    mode: Annotated[MigrationMode, Field(description="The mode that was acted upon.")]
    state: Annotated[
        MigrationState,
        Field(
            description=(
                "Observing; Advancing: at a step; Holding: by mode, or as a gate does not open; RollingBack: as fast as"
                " the last tier has room; RolledBack; Complete."
            )
        ),
    ]
    percent: Annotated[
        int, Field(ge=0, le=100, description="Share of their requests that the tiers other than the last get.")
    ]
    since: Annotated[Time, Field(description="Since when that share.")]
    reason: Annotated[str, Field(max_length=64, description="By which decision, as one word.")]
    message: Annotated[str, Field(max_length=1024, description="From which figures.")]
    updated: Annotated[Time, Field(description="When the totals and gates were written.")]
    counted: Annotated[Time, Field(description="The end of the last minute that is in the totals, or left out.")]
    missing_minutes: Annotated[
        int, Field(ge=0, description="Minutes of this step of which Prometheus knew nothing; they are left out.")
    ] = 0
    small: Annotated[SideTotals, Field(description="Of this step: requests that those tiers were to answer.")] = (
        SideTotals()
    )
    control: Annotated[
        SideTotals, Field(description="Of this step: their requests that the last tier was to answer.")
    ] = SideTotals()
    earlier_control: Annotated[SideTotals, Field(description="The same of the steps before, to know bursts by.")] = (
        SideTotals()
    )
    gates: Annotated[tuple[GateStatus, ...], Field(max_length=3, description="What each gate says.")] = ()
