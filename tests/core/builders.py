"""Small builders of specs and clusters, for tests that care about one field at a time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.api.v1alpha1.tier import Tier
from heterollm_controllers.render.owner import Cluster

__all__ = ["NOW", "api_tier", "cluster", "manifest", "spec", "tier"]

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def api_tier(name: str = "small", **more: Any) -> dict[str, Any]:
    """A tier as a user writes it; `more` adds or replaces fields by their wire names.

    Its model is none of the catalogue's, so that its engine is as stated: one GPU if nothing else is.
    """
    engine: dict[str, Any] = {**more.pop("engine", {})}
    if not {"gpus", "nodes"} & engine.keys():
        engine["gpus"] = 1
    return {"name": name, "model": {"id": f"org/{name}"}, "accelerator": {"type": "H100"}, "engine": engine, **more}


def tier(name: str = "small", **more: Any) -> Tier:
    """The same, parsed."""
    return Tier.model_validate(api_tier(name, **more))


def spec(*tiers: dict[str, Any], **more: Any) -> HeteroLLMClusterSpec:
    """A parsed spec; one plain tier if none is given."""
    return HeteroLLMClusterSpec.model_validate({"tiers": list(tiers) or [api_tier()], **more})


def manifest(name: str = "demo", **metadata: Any) -> dict[str, Any]:
    """A HeteroLLMCluster without spec and status."""
    identity = {"name": name, "namespace": "team", "uid": f"uid-of-{name}", "generation": 1}
    return {"metadata": {**identity, **metadata}}


def cluster(name: str = "demo", **metadata: Any) -> Cluster:
    """The owner of children."""
    return Cluster(manifest(name, **metadata))
