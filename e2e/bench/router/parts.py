"""Our router's resources with one part taken out, to see what that part costs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["PARTS", "ResourceFiles"]

ResourceFiles = dict[str, Any]
"""Name of a resource file -> its content."""


def _manager(files: ResourceFiles) -> dict[str, Any]:
    (listener,) = files["lds.json"]["resources"]
    manager: dict[str, Any] = listener["filter_chains"][0]["filters"][0]["typed_config"]
    return manager


def _routes(files: ResourceFiles) -> dict[str, Any]:
    (routes,) = files["rds.json"]["resources"]
    assert isinstance(routes, dict)
    return routes


def _tier_routes(files: ResourceFiles) -> Iterator[dict[str, Any]]:
    for host in _routes(files)["virtual_hosts"]:
        yield from (route for route in host["routes"] if "route" in route)


def _clusters(files: ResourceFiles, kind: str) -> Iterator[dict[str, Any]]:
    for cluster in files["cds.json"]["resources"]:
        if kind in cluster:
            yield cluster


def _remove_filter(filters: list[dict[str, Any]], name: str) -> None:
    filters[:] = [one for one in filters if one["name"] != name]


def _choose(files: ResourceFiles) -> None:
    """Reading and scoring the request; all goes to the first tier."""
    _remove_filter(_manager(files)["http_filters"], "choose")
    _forget_filter(files, "choose")
    # Whatever is asked and without a tier's name, so that GET /v1/models goes to an engine too.
    next(_tier_routes(files))["match"] = {"prefix": "/"}


def _attempt(files: ResourceFiles) -> None:
    """Looking at every attempt and its answer."""
    for cluster in _clusters(files, "cluster_type"):
        for options in cluster["typed_extension_protocol_options"].values():
            _remove_filter(options["http_filters"], "attempt")
    _forget_filter(files, "attempt")


def _forget_filter(files: ResourceFiles, name: str) -> None:
    """Envoy refuses routes with data for a filter it does not have."""
    for host in _routes(files)["virtual_hosts"]:
        for holder in (host, *host["routes"]):
            holder.get("typed_per_filter_config", {}).pop(name, None)


def _composite(files: ResourceFiles) -> None:
    """A tier for each attempt, with the upstream filters that hang there."""
    for route in _tier_routes(files):
        action = route["route"]
        action["cluster"] = re.sub("^(route|diverted)_", "tier_", action["cluster"])
    _forget_filter(files, "attempt")


def _retries(files: ResourceFiles) -> None:
    for route in _tier_routes(files):
        route["route"].pop("retry_policy", None)


def _metrics(files: ResourceFiles) -> None:
    manager = _manager(files)
    manager.pop("access_log", None)
    manager["http_filters"][-1]["typed_config"].pop("upstream_log", None)


def _headers(files: ResourceFiles) -> None:
    _routes(files).pop("response_headers_to_add", None)
    _routes(files).pop("response_headers_to_remove", None)


def _health(files: ResourceFiles) -> None:
    """Active checks and ejection."""
    for cluster in _clusters(files, "health_checks"):
        cluster.pop("health_checks")
        cluster.pop("outlier_detection", None)


def _hashing(files: ResourceFiles) -> None:
    """Engines by their prefixes, with bounded load."""
    for cluster in _clusters(files, "eds_cluster_config"):
        cluster["lb_policy"] = "ROUND_ROBIN"
        cluster["common_lb_config"].pop("consistent_hashing_lb_config", None)


def _keys(files: ResourceFiles) -> None:
    """Asking for keys, and handing on the engines'."""
    for name in ("keys", "engine-key"):
        _remove_filter(_manager(files)["http_filters"], name)
        _forget_filter(files, name)


def _module(files: ResourceFiles) -> None:
    _attempt(files)
    _choose(files)


PARTS: dict[str, Callable[[ResourceFiles], None]] = {
    "choose": _choose,
    "attempt": _attempt,
    "module": _module,
    "composite": _composite,
    "keys": _keys,
    "retries": _retries,
    "metrics": _metrics,
    "headers": _headers,
    "health": _health,
    "hashing": _hashing,
}
