"""Bringing engines in, all of a tier at once or with a new tier, without a moment in which none of them may be used."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable

from heterollm_agent.envoy_admin import EnvoyAdmin, EnvoyUnreachable
from heterollm_agent.xds_directory import XdsDirectory

__all__ = ["await_engines", "write_endpoints"]

_LIMIT = 3.0
"""Seconds that the former engines stay for new ones to pass a check. Their preStop hooks give them 5."""
_POLL = 0.01

Address = tuple[str, int]


def write_endpoints(name: str, fresh: str, old: str | None, directory: XdsDirectory, envoy: EnvoyAdmin) -> None:
    """Write a tier's endpoints.

    A new engine is used after its first check, so if only new ones remain, the old ones stay, and what comes
    after this waits, until one has passed it.
    """
    if old is not None and old != fresh:
        cluster, coming = _read(fresh)
        _, leaving = _read(old)
        if coming and not coming & leaving:
            directory.write(name, _both(fresh, old))
            _await_one(cluster, coming, envoy, time.monotonic() + _LIMIT)
    directory.write(name, fresh)


def await_engines(assignments: Iterable[str], envoy: EnvoyAdmin) -> None:
    """Wait until each of these new tiers has an engine that passed a check, if it has any.

    For Envoy a cluster is ready after its first check, also if that has failed.
    """
    deadline = time.monotonic() + _LIMIT
    for text in assignments:
        cluster, engines = _read(text)
        if engines:
            _await_one(cluster, engines, envoy, deadline)


def _await_one(cluster: str, coming: set[Address], envoy: EnvoyAdmin, deadline: float) -> None:
    while time.monotonic() < deadline:
        try:
            if envoy.healthy_hosts(cluster) & coming:
                return
        except EnvoyUnreachable:
            return
        time.sleep(_POLL)


def _read(text: str) -> tuple[str, set[Address]]:
    (assignment,) = json.loads(text)["resources"]
    addresses = set()
    for locality in assignment["endpoints"]:
        for endpoint in locality["lb_endpoints"]:
            address = endpoint["endpoint"]["address"]["socket_address"]
            addresses.add((address["address"], address["port_value"]))
    return assignment["cluster_name"], addresses


def _both(fresh: str, old: str) -> str:
    merged = json.loads(fresh)
    merged["resources"][0]["endpoints"] += json.loads(old)["resources"][0]["endpoints"]
    return json.dumps(merged)
