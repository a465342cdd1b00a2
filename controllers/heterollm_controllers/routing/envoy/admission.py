"""Admission to capacity: how much of a tier one router may use, and whom it refuses first.

Circuit breakers are the bound that holds for every attempt, also of requests that come from another tier: a share of
the tier for everybody, all of it for reserved requests, which Envoy counts apart. As the two counts know nothing of
each other, the choose filter also looks at what the tier has in flight altogether: others are admitted while that is
below the normal share, reserved ones while it is below all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from heterollm_controllers.routing.envoy.resource_names import FULL_CLUSTER
from heterollm_controllers.routing.envoy.resources import Json
from heterollm_controllers.routing.ir import RoutingPolicy, TierRoute

__all__ = ["Share", "always_full", "capacity", "circuit_breakers", "needs_admission", "share_of"]


@dataclass(frozen=True)
class Share:
    """Requests in flight (number) that one router may send to a tier."""

    normal: int
    """In flight altogether, beyond which only reserved requests are admitted."""
    total: int


def share_of(tier: TierRoute, policy: RoutingPolicy) -> Share:
    """Rounded up: an engine queues the one request that may be too many, but nobody makes up for one refused."""
    total = max(1, math.ceil(tier.max_requests / policy.routers))
    return Share(max(1, total - total * policy.reserved_percent // 100), total)


def circuit_breakers(share: Share) -> Json:
    """For both kinds of requests."""
    return {"thresholds": [_threshold("DEFAULT", share.normal), _threshold("HIGH", share.total)]}


def needs_admission(policy: RoutingPolicy) -> bool:
    """Whether there are two kinds of requests; where all are of one kind, one count says all."""
    return policy.reserved_percent > 0 and bool(policy.reserved_clients or policy.trust_headers)


def capacity(tier: TierRoute, policy: RoutingPolicy) -> Json:
    """What the choose filter knows of a tier's capacity."""
    if not needs_admission(policy):
        return {}
    share = share_of(tier, policy)
    return {"normal": share.normal, "total": share.total}


def always_full() -> Json:
    """The cluster of the requests that are not admitted: it overflows, and so they are answered as all that do."""
    endpoint = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 9}}}}
    return {
        "name": FULL_CLUSTER,
        "type": "STATIC",
        "load_assignment": {"cluster_name": FULL_CLUSTER, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "circuit_breakers": {"thresholds": [_threshold("DEFAULT", 0), _threshold("HIGH", 0)]},
    }


def _threshold(priority: str, requests: int) -> Json:
    """Twice the connections: with none to spare, a request too many would wait in the router instead of being
    refused.
    """
    return {
        "priority": priority,
        "max_connections": 2 * requests,
        "max_pending_requests": requests,
        "max_requests": requests,
        "max_retries": requests,
    }
