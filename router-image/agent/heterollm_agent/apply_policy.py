"""Applies a policy in an order that never routes to what is not there; restores the old one if Envoy rejects it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from heterollm_agent.envoy_admin import EnvoyAdmin
from heterollm_agent.policy import Policy, PolicyRefused
from heterollm_agent.policy_stages import cluster_stages, endpoint_stages
from heterollm_agent.wait_in_effect import EnvoyUpdate, wait_for_engines
from heterollm_agent.xds_directory import AppliedPolicy, XdsDirectory

__all__ = ["apply_policy", "prune"]


def apply_policy(policy: Policy, directory: XdsDirectory, envoy: EnvoyAdmin) -> None:
    """Write what has changed: endpoints, clusters, (wait for them,) routes, listeners.

    Clusters that the policy no longer has stay until `prune`: earlier requests still go there.
    Raises PolicyRefused.
    """
    before = directory.files()
    update = EnvoyUpdate(envoy)
    try:
        _write(policy, before, directory, envoy, update)
    except PolicyRefused:
        _restore(before, directory)
        raise
    directory.record_applied(AppliedPolicy(policy.version, policy.uid))


def prune(policy: Policy, directory: XdsDirectory) -> None:
    """Remove what the policy in effect no longer has."""
    directory.write("cds.json", policy.files["cds.json"])
    for name in directory.files().keys() - policy.files.keys():
        directory.remove(name)


def _write(
    policy: Policy, before: Mapping[str, str], directory: XdsDirectory, envoy: EnvoyAdmin, update: EnvoyUpdate
) -> None:
    def write_and_wait(kind: str, text: str) -> None:
        if directory.write(f"{kind}.json", text):
            update.wait(kind, json.loads(text)["version_info"])

    assignments = sorted(name for name in policy.files if name.startswith("eds-"))
    for name in assignments:
        *stages, last = endpoint_stages(policy.files[name], before.get(name))
        for stage in stages:
            directory.write(name, stage)
            wait_for_engines([policy.files[name]], envoy)
        directory.write(name, last)
    first, *others = cluster_stages(policy.files["cds.json"], before.get("cds.json"))
    write_and_wait("cds", first)
    wait_for_engines([policy.files[name] for name in assignments if name not in before], envoy)
    for clusters in others:
        write_and_wait("cds", clusters)
    write_and_wait("rds", policy.files["rds.json"])
    write_and_wait("lds", policy.files["lds.json"])
    update.check()


def _restore(before: Mapping[str, str], directory: XdsDirectory) -> None:
    """Write the former files, so that an Envoy that restarts now starts with a policy it accepts."""
    for name, text in before.items():
        directory.write(name, text)
    for name in directory.files().keys() - before.keys():
        directory.remove(name)
