"""Room for one engine and a half: one runs, the other waits whole and holds no GPU, until there is room for it.

The GPUs of these tests are a resource of their own, of which the node has as many as a test says.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from e2e.chat import ask
from e2e.cluster.node.layout import NODE_NAME
from e2e.demo import SIMPLE
from e2e.scenarios.chat_cluster import NAME, ChatCluster, Manifest, quick_sample
from e2e.stack import Stack, wait_until

RESOURCE = "example.com/gpu"
TEAM = "example.com/team"


def _gangs(engines: int, placement_seconds: int, **accelerator: Any) -> Manifest:
    """A cluster of engines that take one GPU on each of two nodes."""
    manifest = quick_sample()
    tier = manifest["spec"]["tiers"][0]
    tier["accelerator"] |= {"perNode": 1, "resourceName": RESOURCE, **accelerator}
    tier["engine"] |= {"gpus": 2, "placementSeconds": placement_seconds}
    tier["replicas"] = {"min": engines}
    manifest["spec"]["tiers"] = [tier]
    manifest["spec"]["routing"]["replicas"] = 1
    return manifest


@dataclass(frozen=True)
class Node:
    """The node, with GPUs that a test gives and takes."""

    stack: Stack

    def has(self, gpus: int) -> None:
        """From now on the node has so many."""
        amounts = {RESOURCE: str(gpus)}
        status = {"status": {"capacity": amounts, "allocatable": amounts}}
        patch = json.dumps(status)
        self.stack.kubectl("patch", "node", NODE_NAME, "--subresource=status", "--type=merge", "--patch", patch)

    def label(self, text: str) -> None:
        """Set a label, or remove it (`key-`)."""
        self.stack.kubectl("label", "node", NODE_NAME, "--overwrite", text)


@pytest.fixture
def node(stack: Stack) -> Iterator[Node]:
    """The node; the GPUs of the test are gone afterwards."""
    node = Node(stack)
    yield node
    node.has(0)
    node.label(f"{TEAM}-")


@pytest.fixture
def gangs(stack: Stack) -> Iterator[list[ChatCluster]]:
    """Two clusters of gangs to be, each in a namespace of its own; no pod of them is left afterwards."""
    clusters = []
    for _ in range(2):
        namespace = f"gangs-{uuid.uuid4().hex[:8]}"
        stack.kubectl("create", "namespace", namespace)
        clusters.append(ChatCluster(stack, namespace))
    yield clusters
    for cluster in clusters:
        cluster.kubectl("delete", "hllm", NAME, "--ignore-not-found")
    for cluster in clusters:
        cluster.kubectl("delete", "pods", "--all", "--timeout=60s")


def _engines(cluster: ChatCluster) -> dict[str, Manifest]:
    tiers = cluster.get().get("status", {}).get("tiers", [])
    return {engine["name"]: engine for tier in tiers for engine in tier["engines"]}


def _phases(cluster: ChatCluster) -> list[str]:
    return sorted(engine["phase"] for engine in _engines(cluster).values())


def _holders(cluster: ChatCluster) -> set[str]:
    """Pods of engines that have a node, those on their way out included."""
    return {pod["metadata"]["name"] for pod in cluster.engine_pods("small") if pod["spec"].get("nodeName")}


def _tenant() -> Manifest:
    """Somebody else's pod that takes one GPU."""
    container = {
        "name": "tenant",
        "image": "heterollm/engine-sim:0.1.0",
        "imagePullPolicy": "Never",
        "command": ["sleep", "600"],
        "resources": {"limits": {RESOURCE: 1}},
    }
    spec = {"terminationGracePeriodSeconds": 0, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "tenant"}, "spec": spec}


def test_one_engine_runs_and_the_other_waits_whole_until_there_is_room(node: Node, gangs: list[ChatCluster]) -> None:
    cluster = gangs[0]
    node.has(4)
    cluster.apply(_tenant())
    cluster.kubectl("wait", "--for=condition=Ready", "pod/tenant", "--timeout=60s")
    cluster.apply(_gangs(2, placement_seconds=10))
    wait_until(lambda: _phases(cluster) == ["Serving", "Waiting"], 90, lambda: f"phases: {_engines(cluster)}")
    [(runs, _), (waits, engine)] = sorted(_engines(cluster).items(), key=lambda item: item[1]["phase"])
    whole = {f"{runs}-0", f"{runs}-1"}
    wait_until(lambda: _holders(cluster) == whole, 20, lambda: f"pods with a node: {_holders(cluster)}")

    assert engine["placement"]["releases"] == 1
    assert engine["message"].startswith("needs 2 GPUs on 2 nodes at once; 1 of 2 pods found one; next try at ")
    condition = next(item for item in cluster.get()["status"]["conditions"] if item["type"] == "Ready")
    assert (condition["status"], condition["reason"]) == ("False", "EnginesUnschedulable")
    assert waits in condition["message"]
    answer = ask(cluster.url, SIMPLE, "small")
    assert answer.status == 200
    assert f"engine {runs}-0" in answer.text

    retry_at = datetime.fromisoformat(engine["placement"]["retryAt"])
    while datetime.now(UTC) < retry_at - timedelta(seconds=1):
        assert _holders(cluster) == whole
        time.sleep(0.5)

    cluster.kubectl("delete", "pod", "tenant")
    cluster.wait_ready()
    assert _phases(cluster) == ["Serving", "Serving"]
    assert len(_holders(cluster)) == 4
    assert all("placement" not in engine for engine in _engines(cluster).values())
    actions = [(item["action"], item["subject"]) for item in cluster.get()["status"]["decisions"]]
    assert ("EngineReleased", waits) in actions
    assert ("EngineRetried", waits) in actions
    assert runs not in {subject for action, subject in actions if action != "EngineAdded"}


def test_of_two_half_placed_clusters_one_ends_up_running(node: Node, gangs: list[ChatCluster]) -> None:
    """They know nothing of each other, and each holds what the other needs."""
    first, second = gangs
    node.has(1)
    node.label(f"{TEAM}=any")
    first.apply(_gangs(1, placement_seconds=20, nodeSelector={TEAM: "any"}))
    wait_until(lambda: len(_holders(first)) == 1, 60, lambda: "the first cluster got no GPU")
    # The first cluster's other pod must not take the second GPU, so it is made to wait for its label.
    node.label(f"{TEAM}-")
    second.apply(_gangs(1, placement_seconds=20))
    wait_until(lambda: len(second.engine_pods("small")) == 2, 60, lambda: "the second cluster has no pods")
    node.has(2)
    wait_until(lambda: len(_holders(second)) == 1, 60, lambda: "the second cluster got no GPU")
    node.label(f"{TEAM}=any")
    assert [len(_holders(cluster)) for cluster in gangs] == [1, 1], "not half and half"

    def one_runs() -> bool:
        """The other waits, for its next try or (all of it) for the scheduler."""
        serving = [_phases(cluster) == ["Serving"] for cluster in gangs]
        return sorted(zip(serving, map(len, map(_holders, gangs)), strict=True)) == [(False, 0), (True, 2)]

    wait_until(one_runs, 150, lambda: f"{[_engines(cluster) for cluster in gangs]}")
    released = {item["action"] for cluster in gangs for item in cluster.get()["status"]["decisions"]}
    assert "EngineReleased" in released
