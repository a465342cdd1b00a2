"""The part of the spec that says how a cluster steers itself: scaling, fallback, and where figures come from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from heterollm_controllers.steering.signals import ClusterSignal, PodSignal, TierSignal
from heterollm_controllers.wire import WireType, rules

__all__ = ["Fallback", "Observability", "Scaling", "TierScaling"]

Seconds = Annotated[int, Field(ge=1, le=86_400)]
Percent = Annotated[int, Field(ge=1, le=100)]


class TierScaling(WireType):
    """When a tier grows and shrinks, between replicas.min and replicas.max."""

    queue_length: Annotated[
        int, Field(ge=1, le=1_000_000, description="The tier grows when more requests than this wait in its engines.")
    ] = 100
    queue_step: Annotated[int, Field(ge=1, le=64, description="Engines added for a long queue.")] = 2
    time_to_first_token_ms: Annotated[
        int | None,
        Field(
            ge=1,
            le=3_600_000,
            description=(
                "The tier grows when the average time to the first token is longer, in milliseconds;"
                " 200 for the last tier and no limit for others if absent."
            ),
        ),
    ] = None
    time_to_first_token_step: Annotated[
        int, Field(ge=1, le=64, description="Engines added for a long time to the first token.")
    ] = 1
    queue_per_engine: Annotated[
        int | None,
        Field(ge=1, le=1_000_000, description="The tier grows by one when more wait per engine; no limit if absent."),
    ] = None
    kv_use_percent: Annotated[
        Percent, Field(description="The tier grows when its engines use more of their KV cache, and shrinks to this.")
    ] = 80
    headroom_percent: Annotated[
        int,
        Field(ge=0, le=400, description="Room above what the traffic needs that is left when the tier shrinks."),
    ] = 20
    forecast: Annotated[
        bool, Field(description="Grow ahead of traffic that is forecast from the last hour; it never shrinks a tier.")
    ] = True
    scale_down_seconds: Annotated[
        int | None,
        Field(
            ge=60,
            le=3_600,
            description=(
                "How long fewer engines must have been enough before one leaves;"
                " 1800 for the last tier and 300 for others if absent."
            ),
        ),
    ] = None
    unschedulable_seconds: Annotated[
        Seconds,
        Field(
            description=(
                "How long an engine may find no node, for a cluster autoscaler to add one, before the tier counts as"
                " unable to grow."
            )
        ),
    ] = 300
    node_seconds: Annotated[
        int,
        Field(ge=0, le=86_400, description="How long a new node takes to come; what is forecast looks that far ahead."),
    ] = 0


class Scaling(WireType):
    """Scaling of the whole cluster."""

    paused: Annotated[bool, Field(description="Keep the engines there are; nothing is added or removed.")] = False


class Fallback(WireType):
    """Levels 2 and 3 of the fallback: a failing tier's requests go to the last one; then all requests do."""

    force: Annotated[
        Literal["Normal", "Escalated", "PureLarge"] | None,
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


_QUERIES = ", ".join(repr(name.value) for kind in (PodSignal, TierSignal, ClusterSignal) for name in kind)


class Observability(WireType):
    """Where figures come from."""

    queries: Annotated[
        dict[str, Annotated[str, Field(min_length=1, max_length=2048)]] | None,
        Field(
            max_length=8,
            description=(
                "PromQL in place of our own, by signal. $namespace, $cluster and $window are replaced. A tier's signal"
                " needs the label heterollm_tier on its result, an engine's the label pod."
            ),
            json_schema_extra=rules((f"self.all(key, key in [{_QUERIES}])", f"must name signals: {_QUERIES}")),
        ),
    ] = None
