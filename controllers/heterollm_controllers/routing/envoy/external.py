"""A tier that is a service outside of the cluster, as an Envoy cluster: DNS, TLS, ejection of addresses that fail.

What its requests need, other than those to engines, is metadata of its addresses, and the attempt filter does it (see
filters/external.rs): so no attempt ever has the key, host or model of another tier, whichever policy its request
came under.
"""

from __future__ import annotations

import re

from heterollm_controllers.routing.envoy.admission import Share, circuit_breakers
from heterollm_controllers.routing.envoy.resource_names import METADATA, tier_cluster
from heterollm_controllers.routing.envoy.resources import Json, typed
from heterollm_controllers.routing.ir import ExternalService

__all__ = ["TRUSTED", "external_service"]

TRUSTED = "/etc/ssl/certs/ca-certificates.crt"
"""The certificate authorities of the router image (Debian's ca-certificates)."""

_ADDRESS = re.compile(r"[0-9]+([.][0-9]+){3}")
_TLS = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"


def external_service(name: str, model: str, service: ExternalService, share: Share, outliers: Json) -> Json:
    """The cluster of the tier `name`, of which each of the routers may use its share."""
    tls: Json = {"transport_socket": _transport_socket(service)} if service.tls else {}
    return {
        "name": tier_cluster(name),
        # Every address of the name is a host of its own, that may be ejected; names with many are asked in turn.
        "type": "STRICT_DNS",
        "respect_dns_ttl": True,
        # Few clusters of machines have a route for IPv6, and many services an address.
        "dns_lookup_family": "V4_PREFERRED",
        "connect_timeout": "5s",
        "lb_policy": "LEAST_REQUEST",
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "load_assignment": {
            "cluster_name": tier_cluster(name),
            "endpoints": [{"lb_endpoints": [_endpoint(name, model, service)]}],
        },
        "upstream_connection_options": {
            "tcp_keepalive": {"keepalive_time": 10, "keepalive_interval": 5, "keepalive_probes": 3}
        },
        "outlier_detection": outliers,
        "circuit_breakers": circuit_breakers(share),
        **tls,
    }


def _endpoint(name: str, model: str, service: ExternalService) -> Json:
    address = {"socket_address": {"address": service.host, "port_value": service.port}}
    usual = 443 if service.tls else 80
    request = {
        "authority": service.host if service.port == usual else f"{service.host}:{service.port}",
        "path": service.path,
        "model": model,
        **({"key_file": service.key_file} if service.key_file is not None else {}),
    }
    metadata = {
        METADATA: {"tier": name, **request},
        # By this the attempt filter tells engines from each other.
        "envoy.lb": {"hash_key": f"{name}-external"},
    }
    return {
        "endpoint": {"address": address, "hostname": service.host},
        "metadata": {"filter_metadata": metadata},
    }


def _transport_socket(service: ExternalService) -> Json:
    is_address = _ADDRESS.fullmatch(service.host) is not None
    trusted = {"inline_string": service.ca_bundle} if service.ca_bundle is not None else {"filename": TRUSTED}
    name = {"san_type": "IP_ADDRESS" if is_address else "DNS", "matcher": {"exact": service.host}}
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": typed(
            _TLS,
            **({} if is_address else {"sni": service.host}),
            common_tls_context={
                "alpn_protocols": ["http/1.1"],
                "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
                "validation_context": {"trusted_ca": trusted, "match_typed_subject_alt_names": [name]},
            },
        ),
    }
