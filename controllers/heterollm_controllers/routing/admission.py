"""Admission to capacity: how much of a tier one router may use, and whom it refuses first.

Circuit breakers are the bound that holds for every attempt, also of requests that come from another tier: a share of
the tier for everybody, all of it for reserved requests, which Envoy counts apart. As the two counts know nothing of
each other, a request also looks, when its tier is chosen, at what the tier has in flight altogether: others are
admitted while that is below the normal share, reserved ones while it is below all.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

from heterollm_controllers.routing.envelope import Json, typed
from heterollm_controllers.routing.places import (
    FULL_CLUSTER,
    HASH_HEADER,
    PRIORITY_HEADER,
    attempts_cluster,
    diverted_cluster,
    tier_cluster,
)
from heterollm_controllers.routing.policy import RoutingPolicy, TierRoute

__all__ = ["Share", "admitted", "always_full", "circuit_breakers", "share_of"]


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


def admitted(route: Json, tier: TierRoute, policy: RoutingPolicy) -> list[Json]:
    """A tier's route, with its reserved requests apart and all of them looking at what is in flight."""
    if policy.reserved_percent == 0 or not (policy.reserved_clients or policy.trust_headers):
        # All requests are of one kind, so that one count says all.
        return [route]
    return [_reserved(_looking(route, tier, policy, "HIGH")), _looking(route, tier, policy, "DEFAULT")]


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


def _reserved(route: Json) -> Json:
    """Only for requests that the choose filter takes for reserved ones."""
    match = route["match"]
    assert isinstance(match, dict)
    sign = {"name": PRIORITY_HEADER, "string_match": {"exact": "reserved"}}
    return {**route, "match": {**match, "headers": [*match["headers"], sign]}}


def _looking(route: Json, tier: TierRoute, policy: RoutingPolicy, priority: str) -> Json:
    action = route["route"]
    assert isinstance(action, dict)
    kept = {name: value for name, value in action.items() if name not in ("cluster", "weighted_clusters")}
    plugin = typed(
        "envoy.extensions.router.cluster_specifiers.lua.v3.LuaConfig",
        source_code={"inline_string": _script(tier, policy, reserved=priority == "HIGH")},
        default_cluster=attempts_cluster(tier.name),
    )
    specifier = {"extension": {"name": "envoy.router.cluster_specifier_plugin.lua", "typed_config": plugin}}
    return {**route, "route": {**kept, "inline_cluster_specifier_plugin": specifier, "priority": priority}}


def _script(tier: TierRoute, policy: RoutingPolicy, *, reserved: bool) -> str:
    """Chooses the cluster of a request. Envoy gives such a script no data, so that they are part of it."""
    substitute = policy.tiers[-2:][0] if tier is policy.tiers[-1] else policy.tiers[-1]
    sides = {
        "own": _side(tier, policy, attempts_cluster(tier.name), reserved=reserved),
        "other": _side(substitute, policy, diverted_cluster(tier.name), reserved=reserved),
    }
    diverted = 0 if substitute is tier else tier.diverted_percent
    return _SCRIPT.format(diverted=diverted, hash=json.dumps(HASH_HEADER), full=json.dumps(FULL_CLUSTER), **sides)


def _side(tier: TierRoute, policy: RoutingPolicy, cluster: str, *, reserved: bool) -> str:
    share = share_of(tier, policy)
    values = tier_cluster(tier.name), share.total if reserved else share.normal, cluster
    return ", ".join(json.dumps(value) for value in values)


_SCRIPT = """\
function envoy_on_route(handle)
  local tier, limit, chosen = {own}
  if {diverted} > 0 and tonumber(handle:headers():get({hash}), 16) % 100 < {diverted} then
    tier, limit, chosen = {other}
  end
  local cluster = handle:getCluster(tier)
  return cluster:numRequests() + cluster:numPendingRequests() < limit and chosen or {full}
end
"""
