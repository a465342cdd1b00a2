"""The real scheduler keeps the pods of one engine in one rack, the first pod included, which has nobody to follow."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from heterollm_operator.kube.client import ApiError
from heterollm_operator.kube.kinds import CLUSTER, Kind, find
from tests.apiserver.conftest import StartOperator
from tests.apiserver.kube import Kube, eventually, sample

NODE = Kind("v1", "Node", "nodes")
POD = find("v1", "Pod")
RACK = "example.com/rack"
RACKS = 4
NODES_PER_RACK = 2


@pytest.fixture
async def racks(kube: Kube) -> AsyncIterator[str]:
    """Nodes without machines, each with one GPU, for the pods of this test alone; yields the GPU's name."""
    resource = f"example.com/{kube.namespace}"
    names = [f"{kube.namespace}-{number}" for number in range(RACKS * NODES_PER_RACK)]
    for number, name in enumerate(names):
        # Left alone the scheduler tends to take nodes in the order of their creation: neighbours are in other racks.
        await _make_node(kube, name, f"rack-{number % RACKS}", resource)
    yield resource
    for name in names:
        await kube.api.request("DELETE", NODE.path(None, name), limit=20)
    # No kubelet ends what was bound to them.
    for pod in await kube.find(POD):
        query = {"gracePeriodSeconds": "0"}
        with contextlib.suppress(ApiError):
            await kube.api.request("DELETE", POD.path(kube.namespace, pod["metadata"]["name"]), query=query, limit=20)


async def _make_node(kube: Kube, name: str, rack: str, resource: str) -> None:
    amounts = {"cpu": "64", "memory": "512Gi", "pods": "32", resource: "1"}
    taint = {"key": resource, "effect": "NoSchedule"}  # which only those tolerate that ask for the resource
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {RACK: rack}},
        "spec": {"taints": [taint]},
        "status": {
            "capacity": amounts,
            "allocatable": amounts,
            "conditions": [{"type": "Ready", "status": "True", "reason": "Test", "message": "no machine"}],
        },
    }
    await kube.api.request("POST", NODE.path(None), body=node, limit=20)


def _cluster(resource: str, engines: int) -> dict[str, Any]:
    manifest = sample()
    [tier] = manifest["spec"]["tiers"] = manifest["spec"]["tiers"][:1]
    tier["accelerator"] |= {"perNode": 1, "resourceName": resource, "topologyKey": RACK}
    tier["engine"] = {"gpus": NODES_PER_RACK}
    tier["replicas"] = {"min": engines}
    return manifest


async def test_every_engine_is_in_one_rack(kube: Kube, operator: StartOperator, racks: str) -> None:
    process = await operator()
    await eventually(process.leads)
    rack_of = {
        node["metadata"]["name"]: node["metadata"]["labels"][RACK]
        for node in (await kube.api.request("GET", NODE.path(None), limit=20))["items"]
        if RACK in node["metadata"].get("labels", {})
    }

    async def placed(engines: int) -> dict[str, list[str]]:
        pods = await kube.find(POD, "serving.heterollm.io/component=engine")
        nodes = {pod["metadata"]["name"]: pod["spec"].get("nodeName") for pod in pods}
        assert len(nodes) == engines * NODES_PER_RACK
        assert all(nodes.values()), nodes
        found: dict[str, list[str]] = {}
        for name, node in nodes.items():
            found.setdefault(name.rsplit("-", 1)[0], []).append(rack_of[node])
        return found

    # One after the other: engines that come together may each take half of a rack, and then one makes room.
    for engines in (1, 2, 3):
        await kube.apply(CLUSTER, _cluster(racks, engines))
        found = await eventually(lambda engines=engines: placed(engines))  # type: ignore[misc]
        assert all(len(set(used)) == 1 for used in found.values()), found
        assert len({used[0] for used in found.values()}) == engines
