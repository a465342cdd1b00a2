"""The spec of a HeteroLLMCluster."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag

from heterollm_controllers.api.schema import (
    WireType,
    rules,
)
from heterollm_controllers.api.v1alpha1.autoscaling import Scaling
from heterollm_controllers.api.v1alpha1.external import ExternalTier
from heterollm_controllers.api.v1alpha1.fallback import Fallback
from heterollm_controllers.api.v1alpha1.migration import Migration
from heterollm_controllers.api.v1alpha1.observability import Observability
from heterollm_controllers.api.v1alpha1.routing import Routing
from heterollm_controllers.api.v1alpha1.security import Security
from heterollm_controllers.api.v1alpha1.tier import Tier

__all__ = ["HeteroLLMClusterSpec"]


_ENGINES, _EXTERNAL = "<engines>", "<external>"
"""The two kinds of tiers, in the places of errors; no field is called so."""


def _kind(tier: Any) -> str:
    external = "external" in tier if isinstance(tier, dict) else isinstance(tier, ExternalTier)
    return _EXTERNAL if external else _ENGINES


AnyTier = Annotated[
    Annotated[Tier, Tag(_ENGINES)] | Annotated[ExternalTier, Tag(_EXTERNAL)],
    Discriminator(_kind),
]


class HeteroLLMClusterSpec(WireType):
    """A heterogeneous LLM cluster: tiers of engines, cheapest first, behind one routing Service."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.migration) || self.tiers.size() >= 2",
                "a migration goes from the last tier to the others: spec.tiers must hold at least two",
            )
        )
    )
    tiers: Annotated[
        tuple[AnyTier, ...],
        Field(
            min_length=1,
            max_length=8,
            description="Tiers, cheapest first: the order carries meaning.",
            json_schema_extra={
                "x-kubernetes-list-type": "atomic",
                **rules(
                    (
                        "self.all(t, self.filter(u, u.name == t.name).size() == 1)",
                        "tier names must be unique",
                    ),
                ),
            },
        ),
    ]
    routing: Annotated[Routing, Field(description="How requests find their tier.")] = Routing()
    scaling: Annotated[Scaling, Field(description="Scaling of the whole cluster.")] = Scaling()
    fallback: Annotated[Fallback, Field(description="What happens when a tier fails.")] = Fallback()
    migration: Annotated[
        Migration | None,
        Field(description="Moving to the tiers step by step; every tier gets all of its requests if absent."),
    ] = None
    observability: Annotated[Observability, Field(description="Where figures come from.")] = Observability()
    security: Annotated[Security, Field(description="Keys and network rules.")] = Security()
    family_check: Annotated[
        Literal["Warn", "Refuse", "Off"],
        Field(
            description=(
                "What to do when the tiers' models differ in tokenizer, chat template or family, so that a request"
                " which changes its tier would be read differently."
            )
        ),
    ] = "Warn"

    @property
    def engine_tiers(self) -> tuple[Tier, ...]:
        """Tiers with engines, cheapest first."""
        return tuple(tier for tier in self.tiers if isinstance(tier, Tier))

    @property
    def external_tiers(self) -> tuple[ExternalTier, ...]:
        """Tiers that are services outside of the cluster."""
        return tuple(tier for tier in self.tiers if isinstance(tier, ExternalTier))
