"""The routing policy and its form as Envoy resources: pure data in, text of Envoy's dynamic resource files out."""

from __future__ import annotations

from heterollm_controllers.routing.files import envoy_files
from heterollm_controllers.routing.policy import AUTO, Change, Endpoint, Retries, RoutingPolicy, TierRoute

__all__ = ["AUTO", "Change", "Endpoint", "Retries", "RoutingPolicy", "TierRoute", "envoy_files"]
