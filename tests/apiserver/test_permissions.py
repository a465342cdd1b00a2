"""The operator needs no more than the chart grants it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from helm.render import render
from heterollm_operator.kube.kinds import CLUSTER, Kind, find
from tests.apiserver.conftest import StartOperator
from tests.apiserver.kube import Kube, eventually, sample

SERVICE_ACCOUNT = find("v1", "ServiceAccount")
RBAC = "rbac.authorization.k8s.io/v1"
PLURALS = {"Role": "roles", "RoleBinding": "rolebindings"}
CLUSTER_PLURALS = {"ClusterRole": "clusterroles", "ClusterRoleBinding": "clusterrolebindings"}


async def install(kube: Kube, namespaces: list[str]) -> tuple[str, str]:
    """Make the chart's service account with its roles; returns its name and a token of it."""
    values = {"crds": {"enabled": False}, "watch": {"namespaces": namespaces}}
    name = ""
    for document in render(values, release=f"r-{kube.namespace}", namespace=kube.namespace):
        manifest = document.manifest
        if document.template == "serviceaccount.yaml":
            name = manifest["metadata"]["name"]
            await kube.create(SERVICE_ACCOUNT, manifest)
        elif manifest["kind"] in PLURALS:
            await kube.create(Kind(RBAC, manifest["kind"], PLURALS[manifest["kind"]]), manifest)
        elif document.template == "manager-rbac.yaml":
            kind = Kind(RBAC, manifest["kind"], CLUSTER_PLURALS[manifest["kind"]])
            await kube.api.request("POST", kind.path(None), body=manifest, limit=20)
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    path = SERVICE_ACCOUNT.path(kube.namespace, name, "token")
    answer = await kube.api.request("POST", path, body=body, limit=20)
    return name, answer["status"]["token"]


def kubeconfig_of(kube: Kube, token: str, folder: Path) -> Path:
    """The administrator's kubeconfig with the service account in their place."""
    config: dict[str, Any] = yaml.safe_load(kube.kubeconfig.read_text())
    config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.mark.parametrize("everywhere", [False, True])
async def test_the_charts_permissions_suffice(
    kube: Kube, operator: StartOperator, tmp_path: Path, everywhere: bool
) -> None:
    name, token = await install(kube, [] if everywhere else [kube.namespace])
    lease = f"--lease-name={name}"  # as the chart sets it
    options = (lease, "--everywhere") if everywhere else (lease,)
    process = await operator(*options, kubeconfig=kubeconfig_of(kube, token, tmp_path))
    await eventually(process.leads)
    await kube.apply(CLUSTER, sample())
    await eventually(lambda: kube.programmed("demo"))
    smaller = sample()
    smaller["spec"]["tiers"].pop()
    await kube.apply(CLUSTER, smaller)

    async def pruned() -> bool:
        return not any("large" in name for name in await kube.children("demo"))

    await eventually(pruned)
    assert any(write.resource == "events" for write in kube.writes())
    # The words of a missing permission. A namespace of an earlier test that is being deleted forbids in other words.
    assert "forbidden: User" not in process.log
