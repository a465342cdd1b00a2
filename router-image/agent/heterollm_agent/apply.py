"""Brings a policy into force, in an order that never routes to what is not there; takes it back if it is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping

from heterollm_agent.envoy_admin import EnvoyAdmin
from heterollm_agent.handover import await_engines, write_endpoints
from heterollm_agent.policy import Policy
from heterollm_agent.settle import Refused, Settling
from heterollm_agent.stages import cluster_stages
from heterollm_agent.xds_directory import AppliedPolicy, XdsDirectory

__all__ = ["apply", "tidy"]


def apply(policy: Policy, directory: XdsDirectory, envoy: EnvoyAdmin) -> None:
    """Write what has changed: endpoints, clusters, (wait for them,) routes, listeners.

    Clusters that the policy no longer has stay until `tidy`: requests that came before still go there.
    """
    before = directory.files()
    settling = Settling(envoy)
    try:
        _write(policy, before, directory, envoy, settling)
    except Refused:
        _restore(before, directory)
        raise
    directory.record_applied(AppliedPolicy(policy.version, policy.uid))


def tidy(policy: Policy, directory: XdsDirectory) -> None:
    """Drop what the policy in force no longer has."""
    directory.write("cds.json", policy.files["cds.json"])
    for name in directory.files().keys() - policy.files.keys():
        directory.remove(name)


def _write(
    policy: Policy, before: Mapping[str, str], directory: XdsDirectory, envoy: EnvoyAdmin, settling: Settling
) -> None:
    def bring(kind: str, text: str) -> None:
        if directory.write(f"{kind}.json", text):
            settling.wait(kind, json.loads(text)["version_info"])

    assignments = sorted(name for name in policy.files if name.startswith("eds-"))
    for name in assignments:
        write_endpoints(name, policy.files[name], before.get(name), directory, envoy)
    first, *others = cluster_stages(policy.files["cds.json"], before.get("cds.json"))
    bring("cds", first)
    await_engines((policy.files[name] for name in assignments if name not in before), envoy)
    for clusters in others:
        bring("cds", clusters)
    bring("rds", policy.files["rds.json"])
    bring("lds", policy.files["lds.json"])
    settling.check()


def _restore(before: Mapping[str, str], directory: XdsDirectory) -> None:
    """So that an Envoy that restarts now finds the last good policy."""
    for name, text in before.items():
        directory.write(name, text)
    for name in directory.files().keys() - before.keys():
        directory.remove(name)
