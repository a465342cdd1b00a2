"""Which request goes to which tier's cluster, what the module is told, and what the router answers by itself."""

from __future__ import annotations

import json

from heterollm_controllers.routing.envoy.module import module_route
from heterollm_controllers.routing.envoy.resource_names import (
    ATTEMPT_FILTER,
    BROKEN_HEADER,
    CHOOSE_FILTER,
    KEYS_FILTER,
    METADATA,
    ROUTES,
)
from heterollm_controllers.routing.envoy.resources import Json, typed
from heterollm_controllers.routing.envoy.retries import attempt_context
from heterollm_controllers.routing.envoy.tier_routes import tier_choices, tier_routes, undecided_route
from heterollm_controllers.routing.ir import AUTO, RoutingPolicy
from heterollm_controllers.scoring.score import scorer_config

__all__ = ["route_configuration"]

_DISABLED = typed("envoy.config.route.v3.FilterConfig", disabled=True)
_ANSWER_LIMIT = 1 << 20
"""Largest answer (bytes) the router gives by itself; the list of models is a few kilobytes."""


def route_configuration(policy: RoutingPolicy, version: int) -> Json:
    """All routes of the cluster."""
    return {
        "name": ROUTES,
        "max_direct_response_body_size_bytes": _ANSWER_LIMIT,
        "response_headers_to_add": [_overwrite("x-llm-policy-version", str(version))],
        # What the attempt filter says to Envoy.
        "response_headers_to_remove": ["x-envoy-ratelimited", BROKEN_HEADER],
        "virtual_hosts": [
            {
                "name": policy.cluster,
                "domains": ["*"],
                "metadata": {"filter_metadata": {METADATA: _known(policy)}},
                "include_request_attempt_count": True,
                # As much is kept for another attempt as may come in.
                "request_body_buffer_limit": policy.body_limit,
                "typed_per_filter_config": {
                    CHOOSE_FILTER: module_route(CHOOSE_FILTER, _choices(policy)),
                    ATTEMPT_FILTER: module_route(ATTEMPT_FILTER, attempt_context(policy)),
                },
                "routes": [*tier_routes(policy), undecided_route(policy), *_model_routes(policy), *_other_routes()],
            }
        ],
    }


def _known(policy: RoutingPolicy) -> Json:
    """What error messages say of the policy."""
    return {"body_limit": str(policy.body_limit)}


def _choices(policy: RoutingPolicy) -> Json:
    """What the choose filter knows of the policy."""
    models: dict[str, str] = {}
    for tier in policy.tiers:
        models.setdefault(tier.model_id, tier.name)
    names = {tier.name: tier.name for tier in policy.tiers}
    return {
        "trust": policy.trust_headers,
        "body_limit": policy.body_limit,
        "threshold": policy.complexity_threshold,
        "retries": policy.retries.limit,
        "tiers": tier_choices(policy),
        "models": {**models, **names},
        "help": f"Available: {', '.join(_model_names(policy))}.",
        "scorer": scorer_config(policy.scorer_weights),
        "reserved": list(policy.reserved_clients) if policy.reserved_percent else [],
        **({"slow_after": policy.slow_after_ms} if policy.slow_after_ms is not None else {}),
    }


def _model_names(policy: RoutingPolicy) -> list[str]:
    """Everything a client may write as `model`."""
    names = [AUTO, *(tier.name for tier in policy.tiers), *(tier.model_id for tier in policy.tiers)]
    return list(dict.fromkeys(names))


def _model_routes(policy: RoutingPolicy) -> list[Json]:
    names = _model_names(policy)
    listing = _answer({"path": "/v1/models"}, 200, _json({"object": "list", "data": [_model(name) for name in names]}))
    # OpenAI's clients escape the slash of a model id; others do not.
    each = [
        _answer({"path": f"/v1/models/{written}"}, 200, _json(_model(name)))
        for name in names
        for written in dict.fromkeys((name, name.replace("/", "%2F")))
    ]
    return [_as_json(route) for route in (listing, *each)]


def _model(name: str) -> Json:
    return {"id": name, "object": "model", "created": 0, "owned_by": "heterollm"}


def _other_routes() -> list[Json]:
    return [
        _open(_answer({"path": "/healthz"}, 200, "ok\n")),
        _answer({"prefix": "/v1/models/"}, 404, "The model does not exist. GET /v1/models lists what exists."),
        _answer({"prefix": "/"}, 404, "Unknown path or method for this path."),
    ]


def _open(route: Json) -> Json:
    """Without an API key."""
    filters = route["typed_per_filter_config"]
    assert isinstance(filters, dict)
    ungated = {KEYS_FILTER: _DISABLED}
    return {**route, "typed_per_filter_config": {**filters, **ungated}}


def _answer(match: Json, status: int, text: str) -> Json:
    """A route the router answers itself, without reading the request's body."""
    return {
        "match": match,
        "direct_response": {"status": status, "body": {"inline_string": text}},
        "typed_per_filter_config": {CHOOSE_FILTER: _DISABLED},
    }


def _as_json(route: Json) -> Json:
    return {**route, "response_headers_to_add": [_overwrite("content-type", "application/json")]}


def _overwrite(name: str, value: str) -> Json:
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
