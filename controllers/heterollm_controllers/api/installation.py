"""What the installation of the operator decides for all clusters."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Config"]


@dataclass(frozen=True)
class Config:
    """What the operator's installation decides, equal for all clusters.

    `sglang_version` is the release in the engine image, by which a tier's args are checked.
    """

    engine_image: str = "heterollm/engine:0.1.0"
    router_image: str = "heterollm/router:0.1.0"
    cluster_domain: str = "cluster.local"
    sglang_version: str = "0.5.23"
    prometheus: bool = False
    """Whether the operator asks a Prometheus, by whose figures clusters are steered."""
