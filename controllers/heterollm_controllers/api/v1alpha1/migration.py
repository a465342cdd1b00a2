"""How a cluster moves from its last tier to all of its tiers, step by step."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from heterollm_controllers.api.decimals import DecimalNumber, written_as
from heterollm_controllers.api.schema import Percent, WireType, rules
from heterollm_controllers.api.vocabulary import MigrationMode

__all__ = ["Gates", "Migration"]


class Gates(WireType):
    """What must be seen of the tiers other than the last before they get more."""

    cost_reduction_percent: Annotated[
        int,
        Field(
            ge=0,
            le=99,
            description=(
                "The least saving, in per cent of what the last tier alone would cost. Where no prices are known, this"
                " gate holds the migration. 0: no such gate."
            ),
        ),
    ] = 0
    first_byte_ms: Annotated[
        int,
        Field(
            ge=0,
            le=600_000,
            description=(
                "Milliseconds in which 99 % of streamed answers must begin, counted from the arrival of the request."
                " 0: no such gate."
            ),
        ),
    ] = 150
    error_percent: Annotated[
        DecimalNumber,
        written_as(max_length=6),
        Field(
            description="Per cent of requests that may fail.",
            json_schema_extra=rules(
                (
                    "self.matches('^[0-9]{1,2}([.][0-9]{1,3})?$') && double(self) >= 0.001 && double(self) <= 50.0",
                    'errorPercent must be a decimal from 0.001 to 50 as text, such as "0.1"',
                )
            ),
        ),
    ] = DecimalNumber("0.1")


class Migration(WireType):
    """Step by step from the last tier, which answers everything at first, to all tiers."""

    mode: Annotated[
        MigrationMode,
        Field(
            description=(
                "Observe: the last tier answers everything; Auto: the other tiers get more, step by step, as the gates"
                " allow; Hold: they keep what they have; Rollback: back to the last tier."
            )
        ),
    ] = "Observe"
    steps: Annotated[
        tuple[Percent, ...],
        Field(
            min_length=1,
            max_length=10,
            description="Shares in per cent of their requests that the tiers other than the last get, in this order.",
            json_schema_extra={
                "x-kubernetes-list-type": "atomic",
                **rules(
                    (
                        "self.isSorted() && self.all(s, self.exists_one(t, t == s))",
                        "migration.steps must rise, such as [10, 30, 60, 80, 100]",
                    ),
                    ("self[self.size() - 1] == 100", "migration.steps must end at 100"),
                ),
            },
        ),
    ] = (10, 30, 60, 80, 100)
    step_seconds: Annotated[
        int, Field(ge=60, le=7_776_000, description="Least time at each step; a week is 604800 seconds.")
    ] = 86_400
    gates: Annotated[Gates, Field(description="What must be seen before the next step.")] = Gates()
    on_inconclusive: Annotated[
        Literal["Hold", "Rollback"],
        Field(
            description=(
                "What happens when the time of a step is over and the requests have not shown enough: Hold waits for"
                " more of them, Rollback goes back to the last tier."
            )
        ),
    ] = "Hold"
