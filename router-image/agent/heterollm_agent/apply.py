"""Brings a policy into force, in an order that never routes to what is not there; takes it back if it is refused."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

from heterollm_agent.directory import Applied, PolicyDirectory
from heterollm_agent.envoy import Envoy, EnvoyAway, policy_rejections, version_of
from heterollm_agent.handover import write_endpoints
from heterollm_agent.policy import Policy

__all__ = ["Refused", "apply"]

_POLL = 0.01
"""Seconds between two looks at Envoy."""
_WARM_LIMIT = 10.0
"""Seconds to wait for new clusters; beyond, the policy goes on and the next tier serves."""


class Refused(RuntimeError):
    """Envoy refused the policy; the files are as they were."""


def apply(policy: Policy, directory: PolicyDirectory, envoy: Envoy) -> None:
    """Write the files: endpoints, clusters, (wait for them,) routes, listeners, then drop what is no longer used."""
    before = directory.files()
    refusals = _refusals(envoy)
    try:
        _write(policy, before, directory, envoy, refusals)
    except Refused:
        _restore(before, directory)
        raise
    directory.note(Applied(policy.version, policy.uid))


def _write(policy: Policy, before: Mapping[str, str], directory: PolicyDirectory, envoy: Envoy, refusals: int) -> None:
    def bring(kind: str, text: str) -> None:
        if directory.write(f"{kind}.json", text):
            _settled(envoy, kind, json.loads(text)["version_info"], refusals)

    for name in sorted(policy.files):
        if name.startswith("eds-"):
            write_endpoints(name, policy.files[name], before.get(name), directory, envoy)
    # Clusters that routes still in force may use stay until the routes have changed.
    bring("cds", _with_old_clusters(policy.files["cds.json"], before.get("cds.json")))
    bring("rds", policy.files["rds.json"])
    bring("lds", policy.files["lds.json"])
    directory.write("cds.json", policy.files["cds.json"])
    for name in before.keys() - policy.files.keys():
        directory.remove(name)


def _with_old_clusters(fresh: str, old: str | None) -> str:
    """`fresh` plus those clusters of `old` that it lacks; `fresh` itself, byte for byte, when it lacks none."""
    if old is None:
        return fresh
    merged = json.loads(fresh)
    names = {cluster["name"] for cluster in merged["resources"]}
    leaving = [cluster for cluster in json.loads(old)["resources"] if cluster["name"] not in names]
    if not leaving:
        return fresh
    merged["resources"] += leaving
    return json.dumps(merged)


def _refusals(envoy: Envoy) -> int:
    try:
        return policy_rejections(envoy.stats())
    except EnvoyAway:
        return 0


def _settled(envoy: Envoy, kind: str, version: str, refusals: int) -> None:
    """Wait until Envoy has taken over `kind`; an Envoy that is not there reads everything when it starts."""
    deadline = time.monotonic() + _WARM_LIMIT
    taken = False
    while time.monotonic() < deadline:
        try:
            stats = envoy.stats()
        except EnvoyAway:
            return
        if policy_rejections(stats) > refusals:
            raise Refused(f"Envoy refused {kind} {version}")
        taken = version_of(stats, kind) == version
        if taken and stats.get("cluster_manager.warming_clusters", "0") == "0":
            return
        time.sleep(_POLL)
    if not taken:
        raise Refused(f"Envoy has not taken {kind} {version} within {_WARM_LIMIT:.0f} s")


def _restore(before: Mapping[str, str], directory: PolicyDirectory) -> None:
    """So that an Envoy that restarts now finds the last good policy."""
    for name in directory.files().keys() - before.keys():
        directory.remove(name)
    for name, text in before.items():
        directory.write(name, text)
