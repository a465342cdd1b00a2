"""Tiers as Envoy clusters: balancing, health, overload, and which tier serves which attempt."""

from __future__ import annotations

from collections.abc import Sequence

from heterollm_controllers.routing.envoy.admission import Share, circuit_breakers
from heterollm_controllers.routing.envoy.external import external_service
from heterollm_controllers.routing.envoy.module import module_filter
from heterollm_controllers.routing.envoy.resource_names import (
    ATTEMPT_FILTER,
    BROKEN_HEADER,
    METADATA,
    POLICY,
    attempts_cluster,
    diverted_cluster,
    endpoints_file,
    tier_cluster,
)
from heterollm_controllers.routing.envoy.resources import Json, config_source, typed
from heterollm_controllers.routing.ir import TierRoute

__all__ = ["ATTEMPTS", "attempts", "diverted", "tier_hosts"]

ATTEMPTS = 4
"""Tries of one request: the first and three retries."""

_UNBOUNDED = Share(1 << 20, 1 << 20)
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_BROKEN: Json = {"http_response_headers_match": {"headers": [{"name": BROKEN_HEADER, "present_match": True}]}}


def tier_hosts(tier: TierRoute, share: Share) -> Json:
    """What answers for one tier: engines, or a service; each of the routers may use its share."""
    if tier.external is None:
        return {**_engines(tier, share), "typed_extension_protocol_options": _http_options()}
    service = external_service(tier.name, tier.model_id, tier.external, share, _outlier_detection())
    return {**service, "typed_extension_protocol_options": _http_options()}


def _engines(tier: TierRoute, share: Share) -> Json:
    return {
        "name": tier_cluster(tier.name),
        "type": "EDS",
        "eds_cluster_config": {"eds_config": config_source(f"{POLICY}/{endpoints_file(tier.name)}")},
        "connect_timeout": "2s",
        # A ring would move twice as many prefixes whenever an engine comes or goes: its size is shared among them.
        "lb_policy": "MAGLEV",
        "common_lb_config": {
            # Unhealthy engines get nothing, however few are left: the next tier serves instead.
            "healthy_panic_threshold": {"value": 0},
            # Changes of health count at once; by default they wait for a second, in which a new engine is unused.
            "update_merge_window": "0s",
            # Same prefix, same engine, as long as it has at most 1.5 times the average load, or 3 times.
            "consistent_hashing_lb_config": {"hash_balance_factor": 300 if tier.sticky else 150},
        },
        # An engine taken out of the policy gets no more requests, though it still answers checks while it drains.
        "ignore_health_on_host_removal": True,
        # A node that vanished without closing its connections is noticed after about 25 s; its requests are retried.
        "upstream_connection_options": {
            "tcp_keepalive": {"keepalive_time": 10, "keepalive_interval": 5, "keepalive_probes": 3}
        },
        "health_checks": [_ready_check()],
        "outlier_detection": _outlier_detection(),
        "circuit_breakers": circuit_breakers(share),
    }


def _http_options() -> Json:
    return {
        _HTTP_OPTIONS: typed(
            _HTTP_OPTIONS,
            explicit_http_config={"http_protocol_options": {}},
            # Below the 5 s after which the engine's server closes idle connections: what is sent into that is lost.
            # Services behind other servers wait longer, but some are SGLang or vLLM themselves.
            common_http_protocol_options={"idle_timeout": "3s"},
        )
    }


def attempts(tiers: Sequence[TierRoute]) -> Json:
    """The tier that serves each attempt of a request for `tiers[0]`: two tries, then the next tier."""
    wanted, *others = tiers
    order = [wanted] * 2 + others[:1] * 2 if others else [wanted] * ATTEMPTS
    # Further tiers are reached only when those before them have no usable engine.
    return _in_turn(attempts_cluster(wanted.name), order + others[1:], diverted="false")


def diverted(tiers: Sequence[TierRoute]) -> Json:
    """The tier that serves each attempt of a request for `tiers[0]` that the last of them shall answer.

    The others follow: such a request was moved for the sake of the cluster, and its client asked for less.
    """
    wanted, *between, last = tiers
    return _in_turn(diverted_cluster(wanted.name), [last] * 2 + [wanted] * 2 + between, diverted="true")


def _in_turn(name: str, order: Sequence[TierRoute], diverted: str) -> Json:
    """Attempt n goes to the n-th tier; one without a usable engine is passed over within the same attempt."""
    tiers = [tier.name for tier in order]
    return {
        "name": name,
        # For the metrics, as requests of one route go to different clusters of this kind, and for the attempt filter.
        "metadata": {"filter_metadata": {METADATA: {"diverted": diverted, "order": " ".join(tiers)}}},
        "lb_policy": "CLUSTER_PROVIDED",
        "cluster_type": {
            "name": "envoy.clusters.composite",
            "typed_config": typed(
                "envoy.extensions.clusters.composite.v3.ClusterConfig",
                clusters=[{"name": tier_cluster(tier)} for tier in tiers],
            ),
        },
        # The tiers bound all that is in flight; here only retries are counted. When an engine dies, all it had is tried
        # again at once, and adds nothing to what had been admitted.
        "circuit_breakers": circuit_breakers(_UNBOUNDED),
        "typed_extension_protocol_options": {
            _HTTP_OPTIONS: typed(
                _HTTP_OPTIONS,
                explicit_http_config={"http_protocol_options": {}},
                http_filters=_upstream_filters(),
                outlier_detection={"error_matcher": _BROKEN},
            )
        },
    }


def _ready_check() -> Json:
    """A hang is noticed within about 15 s; a busy engine has three times 3 s to answer.

    Failed checks turn new requests away. What runs on the engine goes on (Envoy closes no HTTP connections for them),
    which is right while it drains; if it hangs, it is ended by its restart or by the route's idle limit.
    """
    return {
        "interval": "2s",
        "no_traffic_interval": "2s",
        "timeout": "3s",
        "unhealthy_threshold": 3,
        "healthy_threshold": 1,
        "http_health_check": {"path": "/ready"},
    }


def _outlier_detection() -> Json:
    """Engines that cannot be connected to, and those that the attempt filter calls broken: see failures/outliers.rs.

    A failure alone says nothing: one client whose requests always fail would have all engines ejected.
    """
    return {
        "interval": "1s",
        "base_ejection_time": "10s",
        "max_ejection_time": "60s",
        # More than half only by failed checks.
        "max_ejection_percent": 50,
        "consecutive_5xx": 1,
        "split_external_local_origin_errors": True,
        "consecutive_local_origin_failure": 3,
        "enforcing_success_rate": 0,
        "enforcing_local_origin_success_rate": 0,
        # /ready says nothing about answers: else an engine that fails all requests is back with the next check.
        "successful_active_health_check_uneject_host": False,
    }


def _upstream_filters() -> list[Json]:
    return [
        module_filter(ATTEMPT_FILTER),
        {
            "name": "codec",
            "typed_config": typed("envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec"),
        },
    ]
