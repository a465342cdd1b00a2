"""The user's object stays the user's: GitOps tools and `kubectl diff` see no drift."""

from __future__ import annotations

import asyncio
import subprocess

import yaml

from e2e.cluster.kubectl import kubectl_path
from heterollm_operator.kube.kinds import CLUSTER
from tests.apiserver.conftest import StartOperator
from tests.apiserver.kube import Kube, eventually, sample


async def test_only_the_status_of_a_cluster_is_written(kube: Kube, operator: StartOperator) -> None:
    process = await operator()
    await eventually(process.leads)
    await kube.apply(CLUSTER, sample())
    await eventually(lambda: kube.programmed("demo"))
    metadata = (await kube.get(CLUSTER, "demo"))["metadata"]
    assert "finalizers" not in metadata
    assert "annotations" not in metadata
    assert metadata["generation"] == 1
    managers = {(entry["manager"], entry.get("subresource")) for entry in metadata["managedFields"]}
    assert managers == {("user", None), ("heterollm", "status")}


async def test_kubectl_diff_shows_nothing(kube: Kube, operator: StartOperator) -> None:
    process = await operator()
    await eventually(process.leads)
    text = yaml.safe_dump(sample())

    def kubectl(verb: str) -> subprocess.CompletedProcess[str]:
        command = [str(kubectl_path()), f"--kubeconfig={kube.kubeconfig}", f"--namespace={kube.namespace}"]
        return subprocess.run([*command, verb, "-f-"], input=text, capture_output=True, text=True, timeout=60)

    assert (await asyncio.to_thread(kubectl, "apply")).returncode == 0
    await eventually(lambda: kube.programmed("demo"))
    diff = await asyncio.to_thread(kubectl, "diff")
    assert (diff.returncode, diff.stdout) == (0, "")
