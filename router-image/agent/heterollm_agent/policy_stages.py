"""Splits a change of clusters or endpoints into stages, so that at every moment what is routed to is ready."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["Address", "cluster_stages", "endpoint_stages", "engines_of"]

Address = tuple[str, int]
"""IP address and port."""


def cluster_stages(new: str, old: str | None) -> list[str]:
    """What to write as Envoy's clusters, one after the other; `new` itself, byte for byte, if one stage is enough.

    Composite clusters change once those they are made of are ready. Clusters that `new` lacks stay.
    """
    if old is None or old == new:
        return [new]
    wanted = json.loads(new)
    before = _by_name(json.loads(old))
    after = _by_name(wanted)
    removed = [cluster for name, cluster in before.items() if name not in after]
    members_only = [before.get(name, cluster) if _is_composite(cluster) else cluster for name, cluster in after.items()]
    last = _text(wanted, [*after.values(), *removed], "with removed clusters") if removed else new
    if members_only == list(after.values()):
        return [last]
    return [_text(wanted, [*members_only, *removed], "before composite clusters"), last]


def endpoint_stages(new: str, old: str | None) -> list[str]:
    """What to write as a tier's endpoints, one after the other.

    Envoy uses a new engine after its first health check. So if only new ones remain, the old ones stay beside them in a
    first stage.
    """
    if old is None or old == new:
        return [new]
    _, after = engines_of(new)
    _, before = engines_of(old)
    return [new] if not after or after & before else [_with_endpoints_of(old, new), new]


def engines_of(assignment: str) -> tuple[str, set[Address]]:
    """The cluster that a tier's endpoints belong to, and its engines."""
    (resource,) = json.loads(assignment)["resources"]
    engines = set()
    for locality in resource["endpoints"]:
        for endpoint in locality["lb_endpoints"]:
            address = endpoint["endpoint"]["address"]["socket_address"]
            engines.add((address["address"], address["port_value"]))
    return resource["cluster_name"], engines


def _by_name(response: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {cluster["name"]: cluster for cluster in response["resources"]}


def _is_composite(cluster: dict[str, Any]) -> bool:
    return "cluster_type" in cluster


def _text(response: dict[str, Any], clusters: list[dict[str, Any]], stage: str) -> str:
    """Render a stage under a version of its own, which shows when Envoy has accepted it."""
    return json.dumps({**response, "version_info": f"{response['version_info']} {stage}", "resources": clusters})


def _with_endpoints_of(old: str, new: str) -> str:
    merged = json.loads(new)
    merged["resources"][0]["endpoints"] += json.loads(old)["resources"][0]["endpoints"]
    return json.dumps(merged)
