"""When the tiers of a cluster grow and shrink."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from heterollm_controllers.api.schema import Percent, Seconds, WireType

__all__ = ["Scaling", "TierScaling"]


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
