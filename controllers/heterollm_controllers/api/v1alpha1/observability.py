"""Where metrics come from."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from heterollm_controllers.api.schema import WireType, rules
from heterollm_controllers.api.signals import ClusterSignal, PodSignal, TierSignal

__all__ = ["Observability"]

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
