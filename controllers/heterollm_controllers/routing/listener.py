"""The one listener: limits, the Lua filter, and every error in OpenAI's form."""

from __future__ import annotations

from heterollm_controllers.routing.envelope import Json, config_source, typed
from heterollm_controllers.routing.places import LISTENER_PORT, LUA, METADATA, POLICY, ROUTES
from heterollm_controllers.routing.routes import CHOOSE_FILTER

__all__ = ["listener"]

_BODY_LIMIT = 16 << 20
"""Largest request body (bytes): what is buffered for choosing and for sending again."""


def listener() -> Json:
    """Independent of the policy: see `envoy_files`."""
    return {
        "name": "main",
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": LISTENER_PORT}},
        "per_connection_buffer_limit_bytes": _BODY_LIMIT,
        "filter_chains": [
            {
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": _connection_manager(),
                    }
                ]
            }
        ],
    }


def _connection_manager() -> Json:
    return typed(
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="router",
        codec_type="AUTO",
        rds={"route_config_name": ROUTES, "config_source": config_source(f"{POLICY}/rds.json")},
        http_filters=[_choose_filter(), _router_filter()],
        local_reply_config={"mappers": _error_mappers()},
        # The client is the peer, and nobody is internal: the x-envoy-* headers of clients change nothing.
        use_remote_address=True,
        normalize_path=True,
        merge_slashes=True,
        # A silent hour, all attempts together, ends a request; there is no limit on its length.
        stream_idle_timeout="3600s",
        # For slow senders: the head within 15 s, the whole request within 5 minutes.
        request_headers_timeout="15s",
        request_timeout="300s",
    )


def _choose_filter() -> Json:
    return {
        "name": CHOOSE_FILTER,
        "typed_config": typed(
            "envoy.extensions.filters.http.lua.v3.Lua",
            default_source_code={"filename": f"{LUA}/choose.lua"},
            package_paths=[f"{LUA}/?.lua"],
        ),
    }


def _router_filter() -> Json:
    router = "envoy.extensions.filters.http.router.v3.Router"
    return {"name": "router", "typed_config": typed(router, suppress_envoy_headers=True)}


def _error_mappers() -> list[Json]:
    """First match wins. What the router answers with a status below 400 is left alone."""
    chosen_code = {
        "filter": METADATA,
        "path": [{"key": "error"}],
        "value": {"present_match": True},
    }
    return [
        _mapper(
            {"metadata_filter": {"matcher": chosen_code, "match_if_key_not_found": False}},
            "invalid_request_error",
            f"%DYNAMIC_METADATA({METADATA}:error)%",
        ),
        {
            **_mapper(
                {"response_flag_filter": {"flags": ["UO"]}},
                "rate_limit_error",
                "overloaded",
                "All engines that may answer are busy. Please retry later.",
            ),
            "status_code": 429,
            "headers_to_add": [
                {
                    "header": {"key": "retry-after", "value": "1"},
                    "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                }
            ],
        },
        _mapper(
            _status("EQ", 413),
            "invalid_request_error",
            "request_too_large",
            f"The request body is larger than {_BODY_LIMIT} bytes.",
        ),
        _mapper(_status("EQ", 404), "invalid_request_error", "not_found"),
        _mapper(
            {"response_flag_filter": {"flags": ["UH", "NC"]}},
            "server_error",
            "no_engine",
            "No engine can answer at the moment.",
        ),
        _mapper(_status("GE", 500), "server_error", "router_error"),
        _mapper(_status("GE", 400), "invalid_request_error", "bad_request"),
    ]


def _mapper(condition: Json, kind: str, code: str, message: str = "%LOCAL_REPLY_BODY%") -> Json:
    error = {"message": message, "type": kind, "param": None, "code": code}
    return {"filter": condition, "body_format_override": {"json_format": {"error": error}}}


def _status(op: str, status: int) -> Json:
    # Envoy asks for a key under which the number could be changed at run time; nothing sets it.
    value = {"default_value": status, "runtime_key": "unused"}
    return {"status_code_filter": {"comparison": {"op": op, "value": value}}}
