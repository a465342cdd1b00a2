"""Whether the real Envoy accepts policies: many at once, as starting it takes longer than looking at one."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from heterollm_controllers.routing.envoy.files import envoy_files
from heterollm_controllers.routing.ir import RoutingPolicy
from tests.router.envoy import BINARY, UNGUARDED, module_environment, relocate

__all__ = ["complaint", "remarks"]

_CERTIFICATE = Path(__file__).parents[2] / "router-image" / "certificate.json"
_LIMIT = 300.0
"""Seconds."""


def complaint(directory: Path, policies: Sequence[RoutingPolicy]) -> str:
    """What Envoy has against these policies; empty when it accepts them all."""
    done = _validated(directory, policies, "error")
    return done.stderr.decode() if done.returncode else ""


def remarks(directory: Path, policy: RoutingPolicy) -> str:
    """All that Envoy says of a policy that it accepts."""
    done = _validated(directory, [policy], "info")
    assert done.returncode == 0
    return done.stderr.decode()


def _validated(directory: Path, policies: Sequence[RoutingPolicy], level: str) -> subprocess.CompletedProcess[bytes]:
    """Dynamic files are read only by a running Envoy, so their resources are put into one static configuration, in
    which everything that has a name gets one that says of which policy it is.
    """
    for place in ("policy", "keys", "tls"):
        (directory / place).mkdir(exist_ok=True)
    for name, text in UNGUARDED.items():
        (directory / "keys" / name).write_text(text)
    (directory / "certificate.json").write_text(relocate(_CERTIFICATE.read_text(), directory))
    parts = [_static(directory, policy, f"{number}/") for number, policy in enumerate(policies)]
    static = {
        "node": {"id": "router", "cluster": "router"},
        "static_resources": {
            "listeners": [listener for listeners, _ in parts for listener in listeners],
            "clusters": [cluster for _, clusters in parts for cluster in clusters],
        },
    }
    (directory / "static.json").write_text(json.dumps(static))
    command = [str(BINARY), "--mode", "validate", "-c", str(directory / "static.json"), "--log-level", level]
    env = {**os.environ, **module_environment()}
    return subprocess.run(command, env=env, capture_output=True, timeout=_LIMIT, check=False)


_Resources = list[dict[str, Any]]


def _static(directory: Path, policy: RoutingPolicy, prefix: str) -> tuple[_Resources, _Resources]:
    """Listeners and clusters of one policy."""
    texts = {name: relocate(text, directory) for name, text in envoy_files(policy, 1).items()}
    found = {name: _resources(text) for name, text in texts.items()}
    names = {cluster["name"]: prefix + cluster["name"] for cluster in found["cds.json"]}
    (routes,) = _renamed(found["rds.json"], names)
    listener = _listener(found["lds.json"][0], routes)
    for cluster in found["cds.json"]:
        if cluster.get("type") == "EDS":
            (cluster["load_assignment"],) = found[f"eds-{cluster['name'].removeprefix('tier_')}.json"]
            del cluster["eds_cluster_config"]
            cluster["type"] = "STATIC"
    return [{**listener, "name": f"{prefix}main"}], _renamed(found["cds.json"], names)


def _resources(text: str) -> _Resources:
    return [_bare(resource) for resource in json.loads(text)["resources"]]


def _bare(resource: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in resource.items() if key != "@type"}


def _listener(listener: dict[str, Any], routes: dict[str, Any]) -> dict[str, Any]:
    """With the routes in it, and without the filters that the agent writes: a watch for each is more than there are."""
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    del manager["rds"]
    manager["route_config"] = routes
    manager["http_filters"] = [each for each in manager["http_filters"] if "config_discovery" not in each]
    return listener


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    """The same with these names of clusters replaced wherever they are a whole text."""
    if isinstance(value, dict):
        return {key: _renamed(each, names) for key, each in value.items()}
    if isinstance(value, list):
        return [_renamed(each, names) for each in value]
    return names.get(value, value) if isinstance(value, str) else value
