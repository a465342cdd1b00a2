"""A tier's engines as Envoy endpoints."""

from __future__ import annotations

from heterollm_controllers.routing.envoy.resource_names import METADATA, tier_cluster
from heterollm_controllers.routing.envoy.resources import Json
from heterollm_controllers.routing.ir import Endpoint, TierRoute

__all__ = ["load_assignment"]


def load_assignment(tier: TierRoute) -> Json:
    """Endpoints of a tier, in the order of their pods, so that their order of arrival changes nothing."""
    endpoints = sorted(tier.endpoints, key=lambda endpoint: endpoint.pod)
    return {
        "cluster_name": tier_cluster(tier.name),
        "endpoints": [{"lb_endpoints": [_endpoint(tier.name, endpoint) for endpoint in endpoints]}],
    }


def _endpoint(tier: str, endpoint: Endpoint) -> Json:
    address = {"socket_address": {"address": endpoint.address, "port_value": endpoint.port}}
    metadata = {
        METADATA: {"tier": tier},
        # Place among the hashes: by pod and not by address, so that a restart moves no prefixes.
        "envoy.lb": {"hash_key": endpoint.pod},
    }
    return {"endpoint": {"address": address}, "metadata": {"filter_metadata": metadata}}
