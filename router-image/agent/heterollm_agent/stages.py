"""Changing clusters in an order in which none is asked for that is not ready."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["cluster_stages"]


def cluster_stages(fresh: str, old: str | None) -> list[str]:
    """What to write as Envoy's clusters, one after the other; `fresh` itself, byte for byte, if it is as good.

    Clusters that are made of others follow when those are ready. What `fresh` lacks stays.
    """
    if old is None or old == fresh:
        return [fresh]
    wanted = json.loads(fresh)
    were = _by_name(json.loads(old))
    now = _by_name(wanted)
    leaving = [cluster for name, cluster in were.items() if name not in now]
    parts = [were.get(name, cluster) if _made_of_others(cluster) else cluster for name, cluster in now.items()]
    last = _text(wanted, [*now.values(), *leaving], "with those that leave") if leaving else fresh
    if parts == list(now.values()):
        return [last]
    return [_text(wanted, [*parts, *leaving], "before what is made of others"), last]


def _by_name(response: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {cluster["name"]: cluster for cluster in response["resources"]}


def _made_of_others(cluster: dict[str, Any]) -> bool:
    return "cluster_type" in cluster


def _text(response: dict[str, Any], clusters: list[dict[str, Any]], stage: str) -> str:
    """A version of its own, so that one can tell when Envoy has it."""
    return json.dumps({**response, "version_info": f"{response['version_info']} {stage}", "resources": clusters})
