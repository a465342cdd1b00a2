"""Server flags that the operator must set itself, with the reason and what to use instead."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["OWNED"]

_RANKS = "the operator lays the ranks of an engine over its pods: use engine.gpus and engine.nodes"
_HTTP = "the probes and the routers reach an engine over plain HTTP"

OWNED: Mapping[str, str] = MappingProxyType(
    {
        "--host": "probes, routers and the other ranks reach an engine by its pod's address",
        "--port": "probes, Services and routers count on the operator's port: clients use routing.service.port",
        "--nnodes": _RANKS,
        "--node-rank": _RANKS,
        "--dist-init-addr": _RANKS,
        "--config": "the operator cannot size what stands in a file of the pod: list its options in engine.args",
        "--smg-grpc-mode": f"{_HTTP}: with it there is no HTTP server; --grpc-port serves gRPC beside HTTP",
        "--ssl-certfile": f"{_HTTP}: end TLS in front of the routing Service",
        "--ssl-keyfile": f"{_HTTP}: end TLS in front of the routing Service",
    }
)
"""By main spelling."""
