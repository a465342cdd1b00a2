"""Engines of one kind: one model on one kind of GPU."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from pydantic import ConfigDict, Field

from heterollm_controllers.api.schema import (
    WireType,
    rules,
)
from heterollm_controllers.api.v1alpha1.accelerator import Accelerator
from heterollm_controllers.api.v1alpha1.autoscaling import TierScaling
from heterollm_controllers.api.v1alpha1.engine import EngineSpec
from heterollm_controllers.api.v1alpha1.model import Model

__all__ = ["Replicas", "Tier"]


class Bounds(NamedTuple):
    """Fewest and most engines of a tier."""

    fewest: int
    most: int


class Replicas(WireType):
    """How many engines a tier has."""

    model_config = ConfigDict(
        json_schema_extra=rules(("!has(self.max) || self.min <= self.max", "replicas.min must not exceed replicas.max"))
    )
    min: Annotated[int, Field(ge=0, le=256, description="Fewest engines.")] = 1
    max: Annotated[
        int | None,
        Field(ge=1, le=256, description="Most engines the tier may grow to; replicas.min if absent."),
    ] = None
    fixed: Annotated[
        int | None,
        Field(ge=0, le=256, description="Exactly this many engines, whatever the traffic: scaling by hand."),
    ] = None
    standby: Annotated[
        int,
        Field(
            ge=0,
            le=64,
            description="Further engines that are kept ready without requests, and join at once when the tier grows.",
        ),
    ] = 0

    @property
    def bounds(self) -> Bounds:
        """Fewest and most engines."""
        if self.fixed is not None:
            return Bounds(self.fixed, self.fixed)
        return Bounds(self.min, max(self.min, self.max or 0))


_TIER_NAME = "^[a-z][a-z0-9]*$"

TierName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=12,
        pattern=_TIER_NAME,
        description="Short name, lower-case letters and digits; clients may use it as the model name.",
        json_schema_extra=rules(
            (
                f"self.matches('{_TIER_NAME}')",
                "a tier name must start with a letter and hold only lower-case letters and digits",
            ),
            ("self != 'auto'", "a tier cannot be called auto: that is the model name that lets the router choose"),
        ),
    ),
]


class Tier(WireType):
    """Engines of one kind: one model on one kind of GPU."""

    name: TierName
    model: Annotated[Model, Field(description="What the tier serves.")]
    accelerator: Annotated[Accelerator, Field(description="What the tier runs on.")]
    engine: Annotated[EngineSpec, Field(description="Overrides of derived engine settings.")] = EngineSpec()
    replicas: Annotated[Replicas, Field(description="How many engines.")] = Replicas()
    scaling: Annotated[TierScaling, Field(description="When the tier grows and shrinks.")] = TierScaling()
    pod_template: Annotated[
        dict[str, Any] | None,
        Field(
            description=(
                "Strategic merge patch on the engine's pod template (metadata and spec), with Kubernetes' merge keys:"
                " containers by name, volumes by name, mounts by mountPath. The container is called engine."
            ),
            json_schema_extra={"x-kubernetes-preserve-unknown-fields": True},
        ),
    ] = None
