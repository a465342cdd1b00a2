"""What the pods of an engine over several nodes get beside their GPUs: each other's company, and a fast network."""

from __future__ import annotations

from typing import Any

import pytest

from heterollm_controllers.api import names
from heterollm_controllers.api.objects import Manifest
from heterollm_controllers.engines.revisions import asked_of
from heterollm_controllers.render.diff import digest
from tests.core.builders import api_tier, spec
from tests.core.test_rendering import container_of, engine_of, environment, pod_of

TWO_NODES: dict[str, Any] = {"engine": {"gpus": 16}}
RDMA = ["infiniband", "roce"]


def accelerator(**more: Any) -> dict[str, Any]:
    return {"accelerator": {"type": "H100", **more}}


# --- topology


def terms(strength: str, **tier: Any) -> list[Manifest]:
    found = pod_of(**tier).get("affinity", {}).get("podAffinity", {})
    listed = found.get(f"{strength}DuringSchedulingIgnoredDuringExecution", [])
    assert isinstance(listed, list)
    return listed


def test_pods_of_one_engine_prefer_one_zone() -> None:
    [term] = terms("preferred", **TWO_NODES)
    assert term["podAffinityTerm"]["topologyKey"] == "topology.kubernetes.io/zone"
    assert terms("required", **TWO_NODES) == []


def test_topology_key_holds_the_pods_of_one_engine_together_and_not_those_of_a_tier() -> None:
    tier = TWO_NODES | accelerator(topologyKey="example.com/rack")
    assert terms("preferred", **tier) == []
    [term] = terms("required", **tier)
    assert term["topologyKey"] == "example.com/rack"
    assert term["matchLabelKeys"] == [names.ENGINE]
    wanted = term["labelSelector"]["matchLabels"]
    assert names.ENGINE not in wanted
    # The scheduler lets the first pod pass because it matches its own term.
    labels = engine_of(**tier)["spec"]["template"]["metadata"]["labels"]
    assert wanted.items() <= labels.items()
    assert labels[names.ENGINE] == "demo-small-0"


def test_an_engine_of_one_node_is_near_enough_to_itself() -> None:
    assert "affinity" not in pod_of(**accelerator(topologyKey="example.com/rack"))


# --- network


@pytest.mark.parametrize("tier", [TWO_NODES, TWO_NODES | accelerator(network={"type": "tcp"})])
def test_tcp_needs_nothing(tier: dict[str, Any]) -> None:
    container = container_of(**tier)
    assert container["resources"]["limits"].keys() == {"nvidia.com/gpu"}
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert "runAsUser" not in container["securityContext"]
    assert not any(name.startswith("NCCL") for name in environment(container))


@pytest.mark.parametrize("kind", RDMA)
def test_rdma_is_nothing_to_an_engine_of_one_node(kind: str) -> None:
    assert container_of(**accelerator(network={"type": kind})) == container_of()


@pytest.mark.parametrize(("kind", "device"), [("infiniband", "rdma/ib"), ("roce", "rdma/roce")])
def test_rdma_brings_device_right_and_environment(kind: str, device: str) -> None:
    container = container_of(**TWO_NODES, **accelerator(network={"type": kind}))
    for amounts in ("requests", "limits"):
        assert container["resources"][amounts] == {"nvidia.com/gpu": "8", device: "1"}
    security = container["securityContext"]
    assert security["capabilities"] == {"drop": ["ALL"], "add": ["IPC_LOCK"]}
    # Without being root the capability would have no effect.
    assert (security["runAsUser"], security["runAsNonRoot"]) == (0, False)
    assert (security["allowPrivilegeEscalation"], security["readOnlyRootFilesystem"]) == (False, True)
    variables = environment(container)
    assert variables["NCCL_NET"] == "IB"
    assert variables["NCCL_SOCKET_IFNAME"] == "^ib,net,docker,lo"


@pytest.mark.parametrize(
    ("network", "devices"),
    [
        ({"resourceName": "rdma/hca_shared_devices_a"}, {"rdma/hca_shared_devices_a": "1"}),
        ({"resourceCount": 8}, {"rdma/ib": "8"}),
        ({"resourceCount": 0}, {}),
    ],
)
def test_device_is_what_the_cluster_calls_it(network: dict[str, Any], devices: dict[str, str]) -> None:
    container = container_of(**TWO_NODES, **accelerator(network={"type": "infiniband", **network}))
    assert container["resources"]["limits"] == {"nvidia.com/gpu": "8", **devices}


def test_users_environment_wins() -> None:
    engine = {"gpus": 16, "env": [{"name": "NCCL_SOCKET_IFNAME", "value": "eth0"}]}
    container = container_of(engine=engine, **accelerator(network={"type": "roce"}))
    assert [item["value"] for item in container["env"] if item["name"] == "NCCL_SOCKET_IFNAME"] == ["eth0"]
    assert environment(container)["NCCL_NET"] == "IB"


def test_users_pod_template_wins() -> None:
    patch = {"spec": {"containers": [{"name": "engine", "securityContext": {"runAsUser": 1000}}]}}
    container = container_of(**TWO_NODES, **accelerator(network={"type": "roce"}), podTemplate=patch)
    assert container["securityContext"]["runAsUser"] == 1000
    assert container["securityContext"]["capabilities"]["add"] == ["IPC_LOCK"]


# --- queues


def test_labels_and_annotations_of_a_queue_reach_the_pods() -> None:
    patch = {
        "metadata": {
            "labels": {"kueue.x-k8s.io/queue-name": "gpus"},
            "annotations": {"kueue.x-k8s.io/podset-required-topology": "example.com/rack"},
        },
        "spec": {"schedulerName": "volcano"},
    }
    template = engine_of(**TWO_NODES, podTemplate=patch)["spec"]["template"]
    assert template["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
    assert template["metadata"]["annotations"]["kueue.x-k8s.io/podset-required-topology"] == "example.com/rack"
    assert template["spec"]["schedulerName"] == "volcano"
    assert template["metadata"]["labels"][names.ENGINE] == "demo-small-0"


# --- patience


def test_patience_is_no_reason_to_restart_an_engine() -> None:
    plain, patient = api_tier(), api_tier(engine={"placementSeconds": 900})
    hashes = {digest(asked_of(spec(tier), spec(tier).engine_tiers[0])) for tier in (plain, patient)}
    assert len(hashes) == 1
    other = spec(api_tier(engine={"placementSeconds": 900, "drainSeconds": 10}))
    assert digest(asked_of(other, other.engine_tiers[0])) not in hashes
