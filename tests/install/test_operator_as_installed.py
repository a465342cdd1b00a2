"""The operator with the rights and the environment that the chart gives it: nothing it needs is refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.ports import free_port
from helm.render import Manifest, render
from tests.install.kube import Kube, cluster

pytestmark = pytest.mark.apiserver

_DEADLINE_S = 60.0
_POLL_INTERVAL_S = 0.2
_KINDS = "configmap,service,serviceaccount,role,rolebinding,deployment,statefulset,pdb,networkpolicy,controllerrevision"
_SCOPES: dict[str, dict[str, Any]] = {
    "all-namespaces": {},
    "one-namespace": {"watch": {"namespaces": ["one-namespace"]}},
}


@pytest.fixture(params=_SCOPES)
def namespace(kube: Kube, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace in which everything of the chart is installed but the pods."""
    name: str = request.param
    kube.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}])
    installed = [manifest for manifest in _rendered(name) if manifest["kind"] != "Deployment"]
    kube.apply(installed)
    kube.wait_until_established()
    yield name
    kube.delete(installed)


def _rendered(namespace: str) -> list[Manifest]:
    return [document.manifest for document in render(_SCOPES[namespace], namespace=namespace)]


@pytest.fixture
def operator(kube: Kube, namespace: str, tmp_path: Path) -> Iterator[Path]:
    """The operator's process, as its ServiceAccount; yields its log."""
    log = tmp_path / "operator.log"
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(_as_service_account(kube, namespace))
    environment = {**os.environ, **_environment(namespace), "KUBECONFIG": str(kubeconfig)}
    command = [sys.executable, "-c", "from heterollm_cli.main import main; main()", "operator"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--lease-namespace", namespace, "--listen", f"127.0.0.1:{free_port()}"],
            env=environment | {"PYTHONPATH": os.pathsep.join(sys.path)},
            stderr=output,
        )
    try:
        yield log
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=_DEADLINE_S) == 0, log.read_text()


def _environment(namespace: str) -> dict[str, str]:
    """The variables of the chart's Deployment, with the references resolved that a kubelet would."""
    (deployment,) = (manifest for manifest in _rendered(namespace) if manifest["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return {variable["name"]: variable.get("value", namespace) for variable in container["env"]}


def _as_service_account(kube: Kube, namespace: str) -> str:
    """The administrator's kubeconfig with a token of the operator instead of the key."""
    config = yaml.safe_load(kube.kubeconfig.read_text())
    token = kube.run("create", "token", "heterollm-operator", "-n", namespace).strip()
    (user,) = config["users"]
    user["user"] = {"token": token}
    return yaml.safe_dump(config)


def _eventually(condition: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(_POLL_INTERVAL_S)


def test_a_cluster_is_brought_up_repaired_changed_and_removed(kube: Kube, namespace: str, operator: Path) -> None:
    def children() -> set[str]:
        return kube.names(_KINDS, "-n", namespace, "-l", "serving.heterollm.io/cluster=live")

    def reasons() -> set[str]:
        events = kube.get("events.events.k8s.io", "-n", namespace)["items"]
        return {event["reason"] for event in events if event["regarding"]["kind"] == "HeteroLLMCluster"}

    def condition(kind: str) -> str:
        status = kube.get("hllm", "live", "-n", namespace).get("status", {})
        return next((item["status"] for item in status.get("conditions", []) if item["type"] == kind), "")

    kube.create(cluster("live", namespace))
    _eventually(lambda: condition("Programmed") == "True", operator)
    made = children()
    assert {name.partition("/")[0].partition(".")[0] for name in made} == {
        "configmap",
        "controllerrevision",
        "deployment",
        "networkpolicy",
        "poddisruptionbudget",
        "role",
        "rolebinding",
        "service",
        "serviceaccount",
        "statefulset",
    }
    _eventually(lambda: bool(reasons()), operator)

    kube.run("delete", "service/live", "deployment/live-router", "-n", namespace)
    _eventually(lambda: children() == made, operator)

    patch = '[{"op": "replace", "path": "/spec/tiers/0/name", "value": "other"}]'
    kube.run("patch", "hllm", "live", "-n", namespace, "--type=json", "--patch", patch)
    _eventually(lambda: "poddisruptionbudget.policy/live-small-engines" not in children(), operator)

    kube.run("delete", "hllm", "live", "-n", namespace)
    _eventually(lambda: not children(), operator)
    log = operator.read_text()
    # The words of a missing permission. A namespace that is being deleted forbids in other words.
    assert "forbidden: User" not in log, log
