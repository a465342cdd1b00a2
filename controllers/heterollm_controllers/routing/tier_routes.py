"""The route of each tier: which requests it takes, and which share of them the last tier answers."""

from __future__ import annotations

from heterollm_controllers.routing.admission import admitted
from heterollm_controllers.routing.envelope import Json
from heterollm_controllers.routing.places import (
    CHOSEN_HEADER,
    HASH_HEADER,
    METADATA,
    attempts_cluster,
    diverted_cluster,
)
from heterollm_controllers.routing.policy import RoutingPolicy, TierRoute
from heterollm_controllers.routing.retries import retry_policy

__all__ = ["tier_routes", "undecided_route"]

_PATHS: Json = {"safe_regex": {"regex": "/v1/(chat/completions|completions|responses)"}}
_POST: Json = {"name": ":method", "string_match": {"exact": "POST"}}


def tier_routes(policy: RoutingPolicy) -> list[Json]:
    """The routes of each tier, found by the name that the choose filter has put into a header."""
    retries = retry_policy(policy)
    alone = len(policy.tiers) == 1
    routes = ((tier, _tier_route(tier, retries, alone=alone)) for tier in policy.tiers)
    return [entry for tier, route in routes for entry in admitted(route, tier, policy)]


def undecided_route(policy: RoutingPolicy) -> Json:
    """What a request matches before the choose filter has named its tier, and after it if the filter failed.

    The last tier can answer everything. Such a request has no wanted tier in the metrics, by which it is noticed.
    """
    last = policy.tiers[-1]
    route = _route(last, retry_policy(policy), alone=len(policy.tiers) == 1)
    return {"match": {**_PATHS, "headers": [_POST]}, "route": route}


def _tier_route(tier: TierRoute, retries: Json, *, alone: bool) -> Json:
    chosen = {"name": CHOSEN_HEADER, "string_match": {"exact": tier.name}}
    return {
        # Method and path have been looked at by the time that there is such a header.
        "match": {"prefix": "/", "headers": [chosen]},
        "metadata": {"filter_metadata": {METADATA: {"tier": tier.name}}},
        "route": _route(tier, retries, alone=alone),
    }


def _route(tier: TierRoute, retries: Json, *, alone: bool) -> Json:
    return {
        **_target(tier, alone=alone),
        # An answer takes as long as it takes.
        "timeout": "0s",
        "hash_policy": [{"header": {"header_name": HASH_HEADER}}],
        "retry_policy": retries,
    }


def _target(tier: TierRoute, *, alone: bool) -> Json:
    diverted = 0 if alone else tier.diverted_percent
    if diverted == 0:
        return {"cluster": attempts_cluster(tier.name)}
    if diverted == 100:
        return {"cluster": diverted_cluster(tier.name)}
    return {
        "weighted_clusters": {
            "clusters": [
                {"name": attempts_cluster(tier.name), "weight": 100 - diverted},
                {"name": diverted_cluster(tier.name), "weight": diverted},
            ],
            # By the conversation's beginning, so that it stays on its side and keeps its cache.
            "use_hash_policy": True,
        }
    }
