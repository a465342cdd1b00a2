"""Asks Envoy over its admin interface: accepted versions, rejected updates, healthy hosts, metrics."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from urllib.parse import SplitResult, quote

__all__ = ["EnvoyAdmin", "EnvoyUnreachable", "accepted_version", "rejected_policy_updates", "rejected_updates"]

_TIMEOUT = 2.0
"""Seconds; the admin interface is on the same loopback."""

_ACTED_ON = (
    r"^(cluster_manager\.cds\.(version_text|update_rejected|update_failure)"
    r"|listener_manager\.lds\.(version_text|update_rejected|update_failure)"
    r"|http\.router\.(rds\.routes\.(version_text|update_rejected|update_failure)|downstream_rq_active)"
    r"|cluster\.tier_[a-z0-9]+\.(update_rejected|update_failure)"
    r"|extension_config_discovery\.http_filter\.[a-z-]+\.(update_rejected|update_failure)"
    r"|sds\.certificate\.(key_rotation_failed|update_rejected|update_failure))$"
)
_VERSIONS = {
    "cds": "cluster_manager.cds.version_text",
    "lds": "listener_manager.lds.version_text",
    "rds": "http.router.rds.routes.version_text",
}

_WARMING = "cluster_manager.warming_clusters"

_FROM_SECRETS = {"keys": 0, "certificate": 0}
"""Kinds of updates that are not the policy's."""


class EnvoyUnreachable(OSError):
    """Envoy does not answer: it starts, restarts or has gone."""


class EnvoyAdmin:
    """The admin interface of one Envoy. Methods raise EnvoyUnreachable, but for has_policy."""

    def __init__(self, admin: SplitResult) -> None:
        self._admin = admin

    def stats(self) -> dict[str, str]:
        """The few statistics the agent acts on, without those that never counted; texts without their quotes."""
        return self._stats(f"usedonly&filter={quote(_ACTED_ON)}")

    def accepted_version(self, kind: str) -> str:
        """Version of `kind` (cds, lds, rds) that Envoy accepted last, empty if none: cheaper than asking for stats."""
        return accepted_version(self._stats("type=TextReadouts"), kind)

    def prometheus(self) -> bytes:
        """All of Envoy's metrics in Prometheus's text format, without those that never counted.

        Envoy puts its own name before every metric, also before our module's.
        """
        return self._request("GET", "/stats/prometheus?usedonly").replace(b"envoy_heterollm_", b"heterollm_")

    def has_policy(self) -> bool:
        """Whether Envoy has accepted a policy; False while it cannot be reached."""
        try:
            stats = self.stats()
        except EnvoyUnreachable:
            return False
        return all(accepted_version(stats, kind) for kind in _VERSIONS)

    def healthy_hosts(self, cluster: str) -> set[tuple[str, int]]:
        """Addresses and ports of a cluster's hosts that pass their health checks."""
        listing = json.loads(self._request("GET", f"/clusters?format=json&filter=^{quote(cluster)}$"))
        found = set()
        for status in listing.get("cluster_statuses", ()):
            for host in status.get("host_statuses", ()) if status["name"] == cluster else ():
                address = host["address"]["socket_address"]
                if "failed_active_health_check" not in host["health_status"]:
                    found.add((address["address"], address["port_value"]))
        return found

    def active_requests(self) -> int:
        """Requests in flight (number)."""
        return int(self.stats().get("http.router.downstream_rq_active", "0"))

    def start_drain(self) -> None:
        """Ask clients, with every answer, to open their next connection elsewhere; keep serving."""
        self._request("POST", "/drain_listeners?graceful&skip_exit")

    def warming_clusters(self) -> int:
        """Clusters that Envoy is still warming (number)."""
        return int(self._stats(f"type=Gauges&filter=^{_WARMING}$").get(_WARMING, "0"))

    def _stats(self, query: str) -> dict[str, str]:
        lines = self._request("GET", f"/stats?{query}").decode().splitlines()
        pairs = (line.partition(": ") for line in lines)
        return {name: value.strip('"') for name, _, value in pairs}

    def _request(self, method: str, path: str) -> bytes:
        connection = http.client.HTTPConnection(self._admin.hostname or "", self._admin.port, timeout=_TIMEOUT)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise EnvoyUnreachable(f"Envoy's admin interface does not answer: {error}") from error
        finally:
            connection.close()
        if answer.status != 200:
            raise EnvoyUnreachable(f"Envoy's admin interface answered {answer.status} to {path}")
        return body


def accepted_version(stats: Mapping[str, str], kind: str) -> str:
    """Version of `kind` (cds, lds, rds) that Envoy accepted last; empty if none."""
    return stats.get(_VERSIONS[kind], "")


def rejected_policy_updates(stats: Mapping[str, str]) -> int:
    """Count the updates of the policy that Envoy has rejected since its start."""
    return sum(count for kind, count in rejected_updates(stats).items() if kind not in _FROM_SECRETS)


def rejected_updates(stats: Mapping[str, str]) -> dict[str, int]:
    """Count the updates Envoy has rejected since its start, by kind of resource: policy and mounted Secrets."""
    counts = {"cds": 0, "lds": 0, "rds": 0, "eds": 0, **_FROM_SECRETS}
    for name, value in stats.items():
        # A failure is a file that holds no resource at all; a rejected update holds a wrong one.
        if name.endswith((".update_rejected", ".update_failure", ".key_rotation_failed")):
            counts[_kind(name)] += int(value)
    return counts


def _kind(name: str) -> str:
    kind = name.split(".")[-2]
    if kind in ("cds", "lds"):
        return kind
    if name.startswith("extension_config_discovery."):
        return "keys"
    if name.startswith("sds."):
        return "certificate"
    return "rds" if ".rds." in name else "eds"
