"""The full cluster: a real node that runs pods of our own images, and nothing left of it afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster.kubectl import kubectl_path
from e2e.cluster.node.cgroups import CgroupTree
from e2e.cluster.node.namespaces import Namespaces
from tests.cluster.leftovers import leftovers
from tests.cluster.node_commands import ClusterUser

pytestmark = [
    pytest.mark.node,
    pytest.mark.skipif(sys.platform != "linux", reason="a node needs Linux"),
    pytest.mark.skipif(sys.platform == "linux" and os.geteuid() != 0, reason="a node needs root"),
]

_IMAGE = "heterollm/test-web:0.1.0"
_DOCKERFILE = """\
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE}
RUN echo 'hello from the image' > /srv/index.html
USER 1000
ENTRYPOINT ["python3", "-m", "http.server", "8080", "--directory", "/srv"]
"""
_GPUS = 3


def _web_pods(name: str, **pod: Any) -> dict[str, Any]:
    container = {
        "name": "web",
        "image": _IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
        "resources": {"limits": {"nvidia.com/gpu": 2}},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name},
        "spec": {
            "serviceName": name,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"terminationGracePeriodSeconds": 1, "containers": [container], **pod},
            },
        },
    }


def _service(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]},
    }


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    context = tmp_path_factory.mktemp("context")
    (context / "Dockerfile").write_text(_DOCKERFILE)
    return ClusterUser("pytest").build_image(_IMAGE, context)


@pytest.fixture(scope="module")
def cluster(archive: Path) -> Iterator[ClusterUser]:
    user = ClusterUser("pytest")
    user.run("down", "--purge")
    user.run("up", "--gpus", str(_GPUS), "--fake-nodes", "2")
    try:
        user.run("load-image", str(archive))
        user.apply(_web_pods("web"), _service("web"))
        user.kubectl("wait", "--for=condition=Ready", "pod/web-0", "--timeout=60s")
        yield user
    finally:
        user.run("down", "--purge")


def test_a_second_up_says_that_it_runs(cluster: ClusterUser) -> None:
    before = cluster.kubectl("get", "namespace", "kube-system", "--output=jsonpath={.metadata.uid}")
    assert "runs already" in cluster.run("up").stdout
    assert cluster.kubectl("get", "namespace", "kube-system", "--output=jsonpath={.metadata.uid}") == before


def test_status_lists_the_programs_and_the_node(cluster: ClusterUser) -> None:
    output = cluster.run("status").stdout
    assert "kubelet" in output
    assert "node-0" in output
    assert f"export KUBECONFIG={cluster.layout.kubeconfig}" in output


def test_loading_an_image_again_does_nothing(cluster: ClusterUser, archive: Path) -> None:
    assert "there already" in cluster.run("load-image", str(archive)).stdout


def test_a_pod_gets_its_gpus(cluster: ClusterUser) -> None:
    devices = cluster.kubectl("exec", "web-0", "--", "printenv", "NVIDIA_VISIBLE_DEVICES").strip()
    assert len(devices.split(",")) == 2


def test_no_more_gpus_than_the_node_has(cluster: ClusterUser) -> None:
    cluster.apply(_web_pods("second", nodeSelector={"kubernetes.io/hostname": "node-0"}))
    condition = '--for=jsonpath={.status.conditions[?(@.type=="PodScheduled")].reason}=Unschedulable'
    try:
        cluster.kubectl("wait", condition, "pod/second-0", "--timeout=30s")
    finally:
        cluster.kubectl("delete", "statefulset", "second")


def test_a_pod_finds_services_by_name(cluster: ClusterUser) -> None:
    fetch = "import urllib.request; print(urllib.request.urlopen('http://web.default.svc', timeout=5).read().decode())"
    assert "hello from the image" in cluster.kubectl("exec", "web-0", "--", "python3", "-c", fetch)


def test_a_pod_reaches_the_api_server(cluster: ClusterUser) -> None:
    connect = "import socket; socket.create_connection(('kubernetes.default', 443), timeout=5); print('connected')"
    assert "connected" in cluster.kubectl("exec", "web-0", "--", "python3", "-c", connect)


def test_the_host_reaches_a_pod_by_port_forward(cluster: ClusterUser) -> None:
    command = [str(kubectl_path()), "--kubeconfig", str(cluster.layout.kubeconfig)]
    with subprocess.Popen(
        [*command, "port-forward", "service/web", ":80"], stdout=subprocess.PIPE, text=True
    ) as forward:
        try:
            assert forward.stdout is not None
            # "Forwarding from 127.0.0.1:34567 -> 8080"
            address = forward.stdout.readline().split()[2]
            assert _get(f"http://{address}/") == "hello from the image\n"
        finally:
            forward.terminate()


def test_the_host_reaches_a_service(cluster: ClusterUser) -> None:
    address = cluster.run("forward", "web.default.svc.cluster.local:80").stdout.strip()
    assert _get(f"http://{address}/") == "hello from the image\n"
    assert cluster.run("forward", "web.default.svc.cluster.local:80").stdout.strip() == address


def test_a_command_runs_in_the_cluster_network(cluster: ClusterUser) -> None:
    fetch = "import urllib.request; print(urllib.request.urlopen('http://web.default.svc.cluster.local').read())"
    assert "hello from the image" in cluster.run("exec", "--", sys.executable, "-c", fetch).stdout


def test_pods_of_fake_nodes_become_ready_and_go(cluster: ClusterUser) -> None:
    pods = _web_pods("fake", nodeSelector={"heterollm.io/fake-node": "true"})
    pods["spec"] |= {"replicas": 2, "podManagementPolicy": "Parallel"}
    cluster.apply(pods)
    cluster.kubectl("rollout", "status", "statefulset/fake", "--timeout=30s")
    addresses = cluster.kubectl("get", "pods", "-l", "app=fake", "-o", "jsonpath={.items[*].status.podIP}").split()
    assert len(set(addresses)) == 2
    cluster.kubectl("delete", "statefulset", "fake")
    cluster.kubectl("wait", "--for=delete", "pod", "-l", "app=fake", "--timeout=30s")


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        content: bytes = answer.read()
    return content.decode()


def _kill_the_first_process(user: ClusterUser) -> None:
    namespaces = Namespaces.find(user.layout)
    assert namespaces is not None
    os.kill(namespaces.first.pid, signal.SIGKILL)


def _kill_the_programs(user: ClusterUser) -> None:
    """Leave pods without their node; `status` and `up` must not take the rest for a cluster."""
    for pid in CgroupTree(user.layout.cgroup).pids():
        if Path(f"/proc/{pid}/comm").read_text().strip() in ("containerd", "controlplane", "kubelet"):
            os.kill(pid, signal.SIGKILL)
    assert user.run("status", check=False).returncode == 1
    assert "kubelet" in user.run("up", check=False).stderr


def _lose_the_records(user: ClusterUser) -> None:
    for file in user.layout.state.rglob("*.process"):
        file.unlink()


def _nothing_happens(user: ClusterUser) -> None:
    assert user.run("status").returncode == 0


@pytest.fixture(scope="module")
def user() -> Iterator[ClusterUser]:
    """A user of another cluster, which starts several times and keeps its images meanwhile."""
    another = ClusterUser("pytest-down")
    yield another
    another.run("down", "--purge")


@pytest.mark.parametrize("crash", [_nothing_happens, _kill_the_first_process, _kill_the_programs, _lose_the_records])
def test_down_leaves_nothing(crash: Callable[[ClusterUser], None], user: ClusterUser, archive: Path) -> None:
    links = _network_devices()
    user.run("down")
    user.run("up", "--gpus", str(_GPUS))
    try:
        user.run("load-image", str(archive))
        user.apply(_web_pods("web"))
        user.kubectl("wait", "--for=condition=Ready", "pod/web-0", "--timeout=60s")
        # The check itself must see a running cluster, or it proves nothing.
        assert leftovers(user.name, user.layout.state)
        crash(user)
    finally:
        user.run("down")
    assert leftovers(user.name, user.layout.state) == []
    assert _network_devices() == links
    assert "nothing to remove" in user.run("down").stdout


def _network_devices() -> set[str]:
    return {device.name for device in Path("/sys/class/net").iterdir()}
