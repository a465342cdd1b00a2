"""Replacing all endpoints of a tier at once, without a moment in which none of them may be used."""

from __future__ import annotations

import json
import time

from heterollm_agent.directory import PolicyDirectory
from heterollm_agent.envoy import Envoy, EnvoyAway

__all__ = ["write_endpoints"]

_LIMIT = 3.0
"""Seconds that engines that leave stay for new ones to pass their first check. Their preStop hooks give them 5."""
_POLL = 0.01

Address = tuple[str, int]


def write_endpoints(name: str, fresh: str, old: str | None, directory: PolicyDirectory, envoy: Envoy) -> None:
    """Write a tier's endpoints.

    A new engine is used after its first check, so if only new ones remain, the old ones stay, and what comes
    after this waits, until one has passed it.
    """
    if old is not None and old != fresh:
        cluster, coming = _read(fresh)
        _, leaving = _read(old)
        if coming and not coming & leaving:
            directory.write(name, _both(fresh, old))
            _await_one(cluster, coming, envoy)
    directory.write(name, fresh)


def _await_one(cluster: str, coming: set[Address], envoy: Envoy) -> None:
    deadline = time.monotonic() + _LIMIT
    while time.monotonic() < deadline:
        try:
            if envoy.healthy(cluster) & coming:
                return
        except EnvoyAway:
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
