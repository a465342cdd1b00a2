"""Install the chart as a user does, and wait until the operator runs."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import helm_python
import yaml

from e2e.cluster.kubectl import kubectl_path

__all__ = ["CHART", "InstallError", "install", "uninstall"]

CHART = Path(__file__).resolve().parent.parent / "helm" / "heterollm"
RELEASE = "heterollm"
_POLL_INTERVAL_S = 0.5
_KUBECTL_TIMEOUT_S = 30

Manifest = dict[str, Any]


class InstallError(RuntimeError):
    """The chart could not be installed, or its operator does not get ready; the message says why."""


def install(
    kubeconfig: Path,
    namespace: str,
    values: Mapping[str, Any],
    *,
    release: str = RELEASE,
    timeout_s: float = 180.0,
    report: Callable[[str], None] = print,
) -> None:
    """Install the chart, or upgrade the release if there is one, and return when every operator pod is ready.

    Parameters
    ----------
    kubeconfig
        Credentials of an administrator.
    namespace
        Namespace of the operator, created if missing.
    values
        Values of the chart; the rest keeps the chart's defaults, whatever an earlier release was given.
    release
        Name of the Helm release.
    timeout_s
        Longest wait for the operator, in seconds.
    report
        Takes a line of progress whenever something has changed.
    """
    with helm_python.Config(kubeconfig_path=kubeconfig, namespace=namespace) as helm:
        summary = _install_or_upgrade(helm, namespace, dict(values), release, report)
    for deployment in _deployments(summary["manifest"]):
        _wait_rolled_out(_Kubectl(kubeconfig, namespace), deployment, timeout_s, report)


def uninstall(kubeconfig: Path, namespace: str, *, release: str = RELEASE) -> None:
    """Remove the release if it is there. The CRD and all clusters stay."""
    with helm_python.Config(kubeconfig_path=kubeconfig, namespace=namespace) as helm:
        try:
            helm.uninstall(release, ignore_not_found=True)
        except helm_python.HelmError as error:
            raise InstallError(f"helm could not uninstall release {release}: {error}") from error


def _install_or_upgrade(
    helm: Any, namespace: str, values: dict[str, Any], release: str, report: Callable[[str], None]
) -> dict[str, Any]:
    try:
        if helm.list(all_states=True, name_filter=f"^{release}$"):
            report(f"upgrading release {release} in namespace {namespace}")
            upgraded: dict[str, Any] = helm.upgrade(CHART, release, values, reset_values=True)
            return upgraded
        report(f"installing release {release} into namespace {namespace}")
        installed: dict[str, Any] = helm.install(CHART, release, values, create_namespace=True)
        return installed
    except helm_python.HelmError as error:
        raise InstallError(f"helm could not install release {release}: {error}") from error


def _deployments(manifest: str) -> Iterator[str]:
    for document in yaml.safe_load_all(manifest):
        if document and document["kind"] == "Deployment":
            yield document["metadata"]["name"]


class _Kubectl:
    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        self._command = [str(kubectl_path()), "--kubeconfig", str(kubeconfig), "--namespace", namespace]

    def get(self, *arguments: str) -> Manifest:
        """Return an object or a list; an unreachable API server is an InstallError."""
        command = [*self._command, "get", "--output=json", *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_KUBECTL_TIMEOUT_S)
        except subprocess.CalledProcessError as error:
            raise InstallError(error.stderr.strip()) from error
        found: Manifest = json.loads(done.stdout)
        return found


def _wait_rolled_out(kubectl: _Kubectl, name: str, timeout_s: float, report: Callable[[str], None]) -> None:
    deadline = time.monotonic() + timeout_s
    reported = ""
    while True:
        deployment = kubectl.get("deployment", name)
        progress = f"{name}: {_ready(deployment)} of {deployment['spec']['replicas']} pods ready"
        if progress != reported:
            report(progress)
            reported = progress
        if _rolled_out(deployment):
            return
        if time.monotonic() > deadline:
            raise InstallError("\n".join([f"{progress} after {timeout_s:g} s", *_obstacles(kubectl, deployment)]))
        time.sleep(_POLL_INTERVAL_S)


def _ready(deployment: Manifest) -> int:
    """Pods of the current revision that are ready, at least: a roll-out's old ready pods do not count."""
    status = deployment.get("status", {})
    if status.get("observedGeneration", 0) < deployment["metadata"]["generation"]:
        return 0
    old = status.get("replicas", 0) - status.get("updatedReplicas", 0)
    return max(0, int(status.get("readyReplicas", 0) - old))


def _rolled_out(deployment: Manifest) -> bool:
    wanted: int = deployment["spec"]["replicas"]
    return _ready(deployment) == wanted and deployment.get("status", {}).get("replicas", 0) == wanted


def _obstacles(kubectl: _Kubectl, deployment: Manifest) -> Iterator[str]:
    """Say of each pod what keeps it from being ready."""
    labels = deployment["spec"]["selector"]["matchLabels"]
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    for pod in kubectl.get("pods", "--selector", selector)["items"]:
        for reason in _pod_obstacles(pod["status"]):
            yield f"{pod['metadata']['name']}: {reason}"


def _pod_obstacles(status: Manifest) -> Iterator[str]:
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] != "True":
            yield condition.get("message", "not scheduled yet")
    for container in status.get("containerStatuses", []):
        waiting = container["state"].get("waiting")
        if waiting:
            yield f"{waiting['reason']}: {waiting.get('message', '')}"
        elif not container["ready"]:
            yield "running, but its readiness probe fails"
