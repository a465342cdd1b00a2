"""What the API server does not let the operator watch is that scope's affair: unknown there, as ever elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from heterollm_operator.kube.client import ApiError
from heterollm_operator.kube.kinds import CLUSTER, WATCHED, Kind, Scope, find
from tests.apiserver.conftest import StartOperator
from tests.apiserver.kube import NAMESPACE, Kube, eventually, sample
from tests.apiserver.process import OperatorProcess
from tests.apiserver.recording_watcher import CONFIG_MAP, create_config_map, recording_watcher
from tests.apiserver.test_permissions import kubeconfig_of

RBAC = "rbac.authorization.k8s.io/v1"
ROLE = find(RBAC, "Role")
ROLE_BINDING = find(RBAC, "RoleBinding")
SERVICE_ACCOUNT = find("v1", "ServiceAccount")
SOON = 20.0  # of which the longest back-off is 15
VERBS = ["get", "list", "watch", "create", "update", "patch", "delete"]


class Tenants:
    """Two namespaces, and a service account that is let into each by a Role of its own."""

    def __init__(self, kube: Kube) -> None:
        self.kube = kube
        self.first = kube
        self.second = Kube(kube.api, kube.kubeconfig, kube._audit_log, f"{kube.namespace}-2")

    @property
    def options(self) -> tuple[str, ...]:
        """The operator serves the first namespace by the fixture, and the second one too."""
        return (f"--namespace={self.second.namespace}",)

    async def make(self, namespace: str) -> None:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        await self.kube.api.request("POST", NAMESPACE.path(None), body=body, limit=20)

    async def remove(self, namespace: str) -> None:
        await self.kube.api.request("DELETE", NAMESPACE.path(None, namespace), limit=20)

    async def token(self) -> str:
        await self.kube.create(SERVICE_ACCOUNT, {"metadata": {"name": "operator"}})
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        path = SERVICE_ACCOUNT.path(self.kube.namespace, "operator", "token")
        answer = await self.kube.api.request("POST", path, body=body, limit=20)
        return str(answer["status"]["token"])

    async def grant(self, namespace: str, *, without: tuple[str, ...] = ()) -> None:
        """Let the operator do everything there, but for some kinds."""
        kinds = [kind for kind in WATCHED if kind.plural not in without]
        rules = [
            {"apiGroups": [_group(kind)], "resources": [kind.plural, f"{kind.plural}/status"], "verbs": VERBS}
            for kind in kinds
        ]
        more = [("coordination.k8s.io", "leases"), ("events.k8s.io", "events")]
        rules += [{"apiGroups": [group], "resources": [plural], "verbs": VERBS} for group, plural in more]
        tenant = Kube(self.kube.api, self.kube.kubeconfig, self.kube._audit_log, namespace)
        role = {"apiVersion": RBAC, "kind": "Role", "metadata": {"name": "operator"}, "rules": rules}
        await tenant.apply(ROLE, role)
        subject = {"kind": "ServiceAccount", "name": "operator", "namespace": self.kube.namespace}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "operator"}
        binding = {"apiVersion": RBAC, "kind": "RoleBinding", "metadata": {"name": "operator"}}
        await tenant.apply(ROLE_BINDING, {**binding, "roleRef": reference, "subjects": [subject]})

    async def kubeconfig(self, folder: Path) -> Path:
        return kubeconfig_of(self.kube, await self.token(), folder)


def _group(kind: Kind) -> str:
    return kind.api_version.rpartition("/")[0]


@pytest.fixture
async def tenants(kube: Kube) -> AsyncIterator[Tenants]:
    tenants = Tenants(kube)
    yield tenants
    with contextlib.suppress(ApiError):
        await tenants.remove(tenants.second.namespace)


async def refused(process: OperatorProcess) -> float:
    return await process.metric("heterollm_watch_refused{")


async def test_a_kind_taken_from_a_role(tenants: Tenants, operator: StartOperator, tmp_path: Path) -> None:
    await tenants.make(tenants.second.namespace)
    await tenants.grant(tenants.first.namespace)
    await tenants.grant(tenants.second.namespace, without=("pods",))
    process = await operator(*tenants.options, kubeconfig=await tenants.kubeconfig(tmp_path))
    await eventually(process.leads)
    for tenant in (tenants.second, tenants.first):
        await tenant.apply(CLUSTER, sample())
    await eventually(lambda: tenants.first.programmed("demo"), SOON)

    async def said() -> bool:
        condition = await tenants.second.condition("demo", "Programmed")
        return condition.get("reason") == "WatchRefused" and "pods" in condition["message"]

    await eventually(said, SOON)
    assert await tenants.second.children("demo") == {}, "what may exist already is not made"
    path = f"/api/v1/namespaces/{tenants.second.namespace}/pods"
    assert await refused(process) == 1
    assert f"refused: {path}: " in await process.read("/readyz")
    assert (await process.read("/healthz")).startswith("ok\n")
    await tenants.grant(tenants.second.namespace)
    await eventually(lambda: tenants.second.programmed("demo"), SOON)
    assert await refused(process) == 0
    assert await process.ready()
    assert await process.leads(), "it is still the same process"


async def test_a_namespace_that_is_not_there_yet(tenants: Tenants, operator: StartOperator, tmp_path: Path) -> None:
    """Or was deleted, its Role with it."""
    await tenants.grant(tenants.first.namespace)
    process = await operator(*tenants.options, kubeconfig=await tenants.kubeconfig(tmp_path))
    await eventually(process.leads)
    await tenants.first.apply(CLUSTER, sample())
    await eventually(lambda: tenants.first.programmed("demo"), SOON)
    assert await refused(process) == len(WATCHED)
    await tenants.make(tenants.second.namespace)
    await tenants.grant(tenants.second.namespace)
    await tenants.second.apply(CLUSTER, sample())
    await eventually(lambda: tenants.second.programmed("demo"), SOON + 10)
    assert await process.leads()


async def test_a_watch_that_is_refused_from_now_on(tenants: Tenants, tmp_path: Path) -> None:
    for tenant in (tenants.first, tenants.second):
        if tenant is tenants.second:
            await tenants.make(tenant.namespace)
        await tenants.grant(tenant.namespace)
    kubeconfig = await tenants.kubeconfig(tmp_path)
    namespaces = tenants.first.namespace, tenants.second.namespace
    # The watches end every few seconds, so that permissions are checked again.
    async with recording_watcher(kubeconfig, *namespaces, server_timeout=2) as watcher:
        await create_config_map(tenants.second, "before")
        await eventually(lambda: watcher.has_seen("before"))
        await tenants.grant(tenants.second.namespace, without=("configmaps",))

        async def noticed() -> bool:
            return list(watcher.freshness.refused) == [Scope(CONFIG_MAP, tenants.second.namespace)]

        await eventually(noticed)
        await create_config_map(tenants.second, "unseen")
        await create_config_map(tenants.first, "elsewhere")
        await eventually(lambda: watcher.has_seen("elsewhere"))
        # For longer than a request's back-offs last: Kopf must not have given up.
        for second in range(12):
            await asyncio.sleep(1)
            await create_config_map(tenants.first, f"elsewhere-{second}")
            await eventually(lambda second=second: watcher.has_seen(f"elsewhere-{second}"))  # type: ignore[misc]
        assert not await watcher.has_seen("unseen")
        assert watcher.longest_silence() < SOON, "each refusal is a sign of life"
        await tenants.grant(tenants.second.namespace)
        await eventually(lambda: watcher.has_seen("unseen"), SOON)
