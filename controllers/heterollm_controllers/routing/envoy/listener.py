"""The one listener: limits, filters, and what is counted."""

from __future__ import annotations

from heterollm_controllers.routing.envoy.errors import error_mappers
from heterollm_controllers.routing.envoy.metrics import attempt_log, request_log
from heterollm_controllers.routing.envoy.module import module_filter
from heterollm_controllers.routing.envoy.resource_names import (
    CERTIFICATE,
    CHOOSE_FILTER,
    KEYS,
    KEYS_FILTER,
    LISTENER_PORT,
    POLICY,
    ROUTES,
    UNFORGEABLE,
)
from heterollm_controllers.routing.envoy.resources import Json, config_source, typed

__all__ = ["listener"]

_CONNECTION_BUFFER = 1 << 20
"""Bytes held for a client that reads slowly; beyond, its engine waits. Whole requests have a bound of their own."""
_STREAM_WINDOW, _CONNECTION_WINDOW = 1 << 20, 4 << 20
"""Bytes that an HTTP/2 client may send ahead."""


def listener(*, tls: bool) -> Json:
    """Independent of the policy: see `envoy_files`. Whether it speaks TLS is the pod's to choose."""
    secured: Json = {"transport_socket": _transport_socket()} if tls else {}
    return {
        "name": "main",
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": LISTENER_PORT}},
        "per_connection_buffer_limit_bytes": _CONNECTION_BUFFER,
        "filter_chains": [
            {
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": _connection_manager(),
                    }
                ],
                **secured,
            }
        ],
    }


def _transport_socket() -> Json:
    certificate = {
        "name": "certificate",
        "sds_config": {"path_config_source": {"path": CERTIFICATE}, "resource_api_version": "V3"},
    }
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": typed(
            "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            common_tls_context={
                "alpn_protocols": ["h2", "http/1.1"],
                "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
                "tls_certificate_sds_secret_configs": [certificate],
            },
        ),
    }


def _connection_manager() -> Json:
    return typed(
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="router",
        codec_type="AUTO",
        rds={"route_config_name": ROUTES, "config_source": config_source(f"{POLICY}/rds.json")},
        http_filters=[
            _key_filter(KEYS_FILTER),
            _key_filter("engine-key"),
            module_filter(CHOOSE_FILTER),
            _router_filter(),
        ],
        local_reply_config={"mappers": error_mappers()},
        early_header_mutation_extensions=[_unforgeable()],
        access_log=request_log(),
        # The client is the peer, and nobody is internal: the x-envoy-* headers of clients change nothing.
        use_remote_address=True,
        normalize_path=True,
        merge_slashes=True,
        # A silent hour, all attempts together, ends a request; there is no limit on its length.
        stream_idle_timeout="3600s",
        # For slow senders: the head within 15 s, the whole request within 5 minutes.
        request_headers_timeout="15s",
        request_timeout="300s",
        # For slow readers: the rest of a complete answer waits this long for each bit of room.
        stream_flush_timeout="300s",
        common_http_protocol_options={"idle_timeout": "900s"},
        http2_protocol_options={
            "max_concurrent_streams": 256,
            "initial_stream_window_size": _STREAM_WINDOW,
            "initial_connection_window_size": _CONNECTION_WINDOW,
        },
    )


def _unforgeable() -> Json:
    """Removes what only the router may say, before anything reads it."""
    name = "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"
    return {
        "name": "unforgeable",
        "typed_config": typed(name, mutations=[{"remove": header} for header in UNFORGEABLE]),
    }


def _key_filter(name: str) -> Json:
    """A filter that the agent writes, with keys that must not travel through the policy. Nothing is served without."""
    kinds = ("api_key_auth.v3.ApiKeyAuth", "header_mutation.v3.HeaderMutation")
    return {
        "name": name,
        "config_discovery": {
            "config_source": config_source(f"{KEYS}/{name}.json"),
            "type_urls": [f"type.googleapis.com/envoy.extensions.filters.http.{kind}" for kind in kinds],
        },
    }


def _router_filter() -> Json:
    router = "envoy.extensions.filters.http.router.v3.Router"
    return {
        "name": "router",
        "typed_config": typed(
            router,
            suppress_envoy_headers=True,
            # Codes and times for each of Envoy's clusters, whose names are put together for each answer: ours say more.
            dynamic_stats=False,
            upstream_log=attempt_log(),
        ),
    }
