"""The routes of each tier: to its own engines, and to those of the tier that answers a share of its requests."""

from __future__ import annotations

from heterollm_controllers.routing.envoy.admission import capacity, needs_admission
from heterollm_controllers.routing.envoy.resource_names import (
    CHOSEN_HEADER,
    FULL_CLUSTER,
    HASH_HEADER,
    PRIORITY_HEADER,
    attempts_cluster,
    diverted_cluster,
)
from heterollm_controllers.routing.envoy.resources import Json
from heterollm_controllers.routing.envoy.retries import retry_policy
from heterollm_controllers.routing.ir import RoutingPolicy, TierRoute

__all__ = ["tier_choices", "tier_routes", "undecided_route"]

_PATHS: Json = {"safe_regex": {"regex": "/v1/(chat/completions|completions|responses)"}}
_POST: Json = {"name": ":method", "string_match": {"exact": "POST"}}
_RESERVED: Json = {"name": PRIORITY_HEADER, "string_match": {"exact": "reserved"}}


def tier_routes(policy: RoutingPolicy) -> list[Json]:
    """The routes by the names that the choose filter puts into a header; see choose.rs for the names.

    Whatever that header says, and whoever has set it, no other request than one to a model ever reaches an engine.
    """
    retries = retry_policy(policy)
    sides = [(tier.name, attempts_cluster(tier.name)) for tier in policy.tiers]
    sides += [(f"{tier.name}/diverted", diverted_cluster(tier.name)) for tier in policy.tiers if _diverts(tier, policy)]
    routes = [_route(_asked(_chosen(name)), _action(cluster, retries)) for name, cluster in sides]
    if not needs_admission(policy):
        return routes
    # Reserved requests are counted apart by the tiers' circuit breakers.
    apart = [_reserved(route) for route in routes]
    full = _route(_asked(_chosen("/full")), {"cluster": FULL_CLUSTER})
    return [*apart, *routes, full]


def undecided_route(policy: RoutingPolicy) -> Json:
    """What a request matches before the choose filter has named its tier, and after it if the filter failed.

    The last tier can answer everything. Such a request has no wanted tier in the metrics, by which it is noticed.
    """
    last = policy.tiers[-1]
    gone = _diverts(last, policy) and last.diverted_percent == 100
    cluster = diverted_cluster(last.name) if gone else attempts_cluster(last.name)
    return _route(_asked(), _action(cluster, retry_policy(policy)))


def tier_choices(policy: RoutingPolicy) -> list[Json]:
    """What the choose filter knows of each tier."""
    return [
        {
            "name": tier.name,
            "diverted": tier.diverted_percent,
            "own": _side(tier, policy),
            "other": _side(_substitute(tier, policy), policy) if _diverts(tier, policy) else None,
        }
        for tier in policy.tiers
    ]


def _side(tier: TierRoute, policy: RoutingPolicy) -> Json:
    return {"tier": tier.name, **capacity(tier, policy)}


def _diverts(tier: TierRoute, policy: RoutingPolicy) -> bool:
    return tier.diverted_percent > 0 and len(policy.tiers) > 1


def _substitute(tier: TierRoute, policy: RoutingPolicy) -> TierRoute:
    """Who answers what is diverted."""
    last = policy.tiers[-1]
    return policy.tiers[-2] if tier is last else last


def _asked(*headers: Json) -> Json:
    """A request to a model, with these headers; they are looked at before its path."""
    return {**_PATHS, "headers": [*headers, _POST]}


def _chosen(name: str) -> Json:
    return {"name": CHOSEN_HEADER, "string_match": {"exact": name}}


def _route(match: Json, action: Json) -> Json:
    return {"match": match, "route": action}


def _action(cluster: str, retries: Json) -> Json:
    return {
        "cluster": cluster,
        # An answer takes as long as it takes.
        "timeout": "0s",
        "hash_policy": [{"header": {"header_name": HASH_HEADER}}],
        "retry_policy": retries,
    }


def _reserved(route: Json) -> Json:
    match, action = route["match"], route["route"]
    assert isinstance(match, dict)
    assert isinstance(action, dict)
    return {"match": {**match, "headers": [*match["headers"], _RESERVED]}, "route": {**action, "priority": "HIGH"}}
