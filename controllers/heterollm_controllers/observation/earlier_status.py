"""What an earlier reconcile recorded in the status: parsed once, and typed from there on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from heterollm_controllers.api.v1alpha1.status import EngineStatus, HeteroLLMClusterStatus, TierStatus

__all__ = ["earlier_engines", "earlier_status", "earlier_tier"]


def earlier_status(cluster: Mapping[str, Any]) -> HeteroLLMClusterStatus:
    """The status of a cluster as the API server holds it; an empty one if it has none.

    Raises:
        ValidationError: it cannot be read, and with it the decisions that it records.
    """
    status = cluster.get("status") or {}
    try:
        return HeteroLLMClusterStatus.model_validate(status)
    except ValidationError:
        # Another version of the operator may have reported the sizing differently. That is a report, made anew each
        # time; nothing was decided in it.
        tiers = [{**tier, "sizing": None} for tier in status.get("tiers") or []]
        return HeteroLLMClusterStatus.model_validate({**status, "tiers": tiers})


def earlier_tier(status: HeteroLLMClusterStatus, name: str) -> TierStatus | None:
    """What is recorded of a tier."""
    return next((tier for tier in status.tiers if tier.name == name), None)


def earlier_engines(status: HeteroLLMClusterStatus) -> dict[str, EngineStatus]:
    """What is recorded of the engines, by name."""
    return {engine.name: engine for tier in status.tiers for engine in tier.engines}
