"""A control plane for all tests of the session, a namespace and operators of its own for each."""

from __future__ import annotations

import contextlib
import subprocess
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from e2e.cluster.build import COMPONENTS, BuildError, ensure_binary
from e2e.cluster.controlplane import ControlPlane
from e2e.cluster.kubectl import kubectl_path, wait_until_established
from e2e.cluster.toolchain import ToolchainError
from tests.apiserver.kube import NAMESPACE, AdminApi, Kube
from tests.apiserver.process import OperatorProcess

_HERE = Path(__file__).parent
_CRD = Path(__file__).parents[2] / "crds" / "heterollmclusters.yaml"

StartOperator = Callable[..., Awaitable[OperatorProcess]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder talks to an API server."""
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.apiserver)


@dataclass(frozen=True)
class Audited:
    """A control plane that has the CRD and logs every write."""

    control_plane: ControlPlane
    audit_log: Path

    @classmethod
    def start(cls, folder: Path) -> Audited:
        log = folder / "audit.log"
        policy = f"--audit-policy-file={_HERE / 'audit-policy.yaml'}"
        control_plane = ControlPlane.start(folder, apiserver_args=[policy, f"--audit-log-path={log}"])
        kubectl = [str(kubectl_path()), f"--kubeconfig={control_plane.kubeconfig}"]
        subprocess.run([*kubectl, "apply", "--server-side", f"--filename={_CRD}"], check=True)
        wait_until_established(control_plane.kubeconfig, "heterollmclusters.serving.heterollm.io")
        return cls(control_plane, log)


@pytest.fixture(scope="session")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audited]:
    """One control plane for all tests that leave it running."""
    try:
        ensure_binary(COMPONENTS["controlplane"])
    except (BuildError, ToolchainError) as error:
        pytest.skip(f"the control plane cannot be built here: {error}")
    running = Audited.start(tmp_path_factory.mktemp("control-plane"))
    with running.control_plane:
        yield running


@pytest.fixture
async def kube(audited: Audited) -> AsyncIterator[Kube]:
    """An administrator in a new namespace of the session's control plane."""
    async with administrator(audited) as kube:
        yield kube


@contextlib.asynccontextmanager
async def administrator(audited: Audited) -> AsyncIterator[Kube]:
    """An administrator in a new namespace, in which every object is deleted afterwards."""
    kubeconfig = audited.control_plane.kubeconfig
    api = await AdminApi.connect(str(kubeconfig))
    kube = Kube(api, kubeconfig, audited.audit_log, f"test-{uuid.uuid4().hex[:8]}")
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": kube.namespace}}
    try:
        await api.request("POST", NAMESPACE.path(None), body=body, limit=20)
        yield kube
        await api.request("DELETE", NAMESPACE.path(None, kube.namespace), limit=20)
    finally:
        await api.close()


@pytest.fixture
async def operator(kube: Kube, tmp_path: Path) -> AsyncIterator[StartOperator]:
    """Start operators that serve the test's namespace only; their logs are printed when the test fails."""
    async with operators(kube, tmp_path) as start:
        yield start


@contextlib.asynccontextmanager
async def operators(kube: Kube, folder: Path) -> AsyncIterator[StartOperator]:
    """Start operators; whatever still runs is stopped at the end."""
    started: list[OperatorProcess] = []

    async def start(
        *options: str, kubeconfig: Path | None = None, restart: bool = False, module: str = "heterollm_cli.main"
    ) -> OperatorProcess:
        log = folder / f"operator-{len(started)}.log"
        scope = () if "--everywhere" in options else (f"--namespace={kube.namespace}",)
        rest = tuple(option for option in options if option != "--everywhere")
        process = OperatorProcess(
            kubeconfig or kube.kubeconfig, kube.namespace, log, *scope, *rest, restart=restart, module=module
        )
        started.append(await process.start())
        return process

    try:
        yield start
    finally:
        for process in started:
            await process.stop()
            print(f"--- log of an operator ---\n{process.log}")
