"""Routers on a real API server: Envoy and the agent as processes, fed by one ConfigMap through its watch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from e2e.bench.clusters import BenchApi
from e2e.bench.router_account import agent_environment
from e2e.cluster.controlplane import ControlPlane
from e2e.ports import free_port
from heterollm_controllers.api import names
from heterollm_controllers.api.installation import Config
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.render.cluster import cluster_objects, policy_object
from heterollm_controllers.render.owner import Cluster
from heterollm_controllers.routing.envoy.files import envoy_files
from heterollm_controllers.routing.ir import RoutingPolicy
from heterollm_operator.kube.kinds import Kind, find
from tests.router.agent import Agent
from tests.router.envoy import Envoy, relocate

__all__ = ["Publisher", "Router", "engines", "publisher", "routers"]

_NAMESPACE = "bench"
_CLUSTER = Cluster({"metadata": {"name": "demo", "namespace": _NAMESPACE, "uid": "none", "generation": 1}})
_LIMIT = 30.0
_LOOK = 0.004
"""Seconds between two questions to a router: the resolution of what is measured, and little of its CPU."""

_NAMESPACES = Kind("v1", "Namespace", "namespaces")
_OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
_VERSION = b"\r\nx-llm-policy-version: "


@dataclass(frozen=True)
class Published:
    """A change of the policy as the API server took it. `asked`, `answered`: seconds of the monotonic clock."""

    version: int
    asked: float
    answered: float


class Publisher:
    """Writes the policy as the operator does: the whole ConfigMap, by server-side apply."""

    def __init__(self, api: BenchApi, control_plane: ControlPlane) -> None:
        self._api = api
        self._control_plane = control_plane
        self._version = 0

    async def prepare(self) -> None:
        """The namespace, and the routers' account and its rights, as the operator makes them."""
        await self._api.request("POST", _NAMESPACES.path(None), body={"metadata": {"name": _NAMESPACE}}, limit=_LIMIT)
        spec = HeteroLLMClusterSpec.model_validate(
            {"tiers": [{"name": "small", "model": {"id": "m"}, "accelerator": {"type": "H100"}, "engine": {"gpus": 1}}]}
        )
        for manifest in cluster_objects(_CLUSTER, spec, Config()):
            if manifest["kind"] in ("ServiceAccount", "Role", "RoleBinding"):
                await self._apply(manifest)

    async def agent_environment(self) -> dict[str, str]:
        """What agents need to watch the policy."""
        return await agent_environment(self._api, self._control_plane, _NAMESPACE, _CLUSTER.name)

    async def publish(self, policy: RoutingPolicy) -> Published:
        """Bring a policy to the API server."""
        self._version += 1
        # Envoy is started where its files are, so one ConfigMap fits all routers of this machine.
        files = {name: relocate(text, Path()) for name, text in envoy_files(policy, self._version).items()}
        manifest = policy_object(_CLUSTER, files, self._version)
        asked = time.monotonic()
        await self._apply(manifest)
        return Published(self._version, asked, time.monotonic())

    async def _apply(self, manifest: dict[str, Any]) -> None:
        # Without its owner, which is not there: the garbage collector would take it away.
        metadata = {key: value for key, value in manifest["metadata"].items() if key != "ownerReferences"}
        kind = find(manifest["apiVersion"], manifest["kind"])
        await self._api.request(
            "PATCH",
            kind.path(_NAMESPACE, metadata["name"]),
            body={**manifest, "metadata": metadata},
            query={"fieldManager": names.MANAGER, "force": "true"},
            content_type="application/apply-patch+yaml",
            limit=_LIMIT,
        )


@asynccontextmanager
async def publisher(folder: Path) -> AsyncIterator[Publisher]:
    """A new control plane, ready for policies."""
    with ControlPlane.start(folder) as control_plane:
        api = await BenchApi.connect(str(control_plane.kubeconfig))
        try:
            made = Publisher(api, control_plane)
            await made.prepare()
            yield made
        finally:
            await api.close()


class Router:
    """One router: what it answers by, and which files its agent has written."""

    def __init__(self, envoy: Envoy) -> None:
        self._directory = envoy.policy_dir
        self._at = urlsplit(envoy.url)

    def files(self) -> dict[str, int]:
        """Envoy's files, and when each was written (nanoseconds)."""
        return {path.name: path.stat().st_mtime_ns for path in self._directory.glob("*.json") if path.stem != "applied"}

    async def answers_by(self, version: int) -> float:
        """Ask until the router answers by this version; when it first did, in seconds of the monotonic clock."""
        reader, writer = await asyncio.open_connection(self._at.hostname, self._at.port)
        try:
            while True:
                writer.write(b"GET /healthz HTTP/1.1\r\nhost: router\r\n\r\n")
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(len(b"ok\n"))
                if int(head.partition(_VERSION)[2].partition(b"\r\n")[0]) >= version:
                    return time.monotonic()
                await asyncio.sleep(_LOOK)
        finally:
            writer.close()


@asynccontextmanager
async def routers(count: int, source: Publisher) -> AsyncIterator[Sequence[Router]]:
    """So many routers that have the present policy."""
    env = await source.agent_environment()
    async with AsyncExitStack() as stack:
        yield await asyncio.gather(*(_start(stack, env) for _ in range(count)))


async def _start(stack: AsyncExitStack, env: dict[str, str]) -> Router:
    """The agent first, as in the pod: Envoy starts from what it has written."""
    port = free_port()
    envoy = Envoy(None, bootstrap=lambda file: file["admin"]["address"]["socket_address"].update(port_value=port))
    own = {**env, "KEYS_DIR": str(envoy.keys_dir)}
    agent = await stack.enter_async_context(Agent(envoy.policy_dir, admin=f"http://127.0.0.1:{port}", env=own))
    await agent.until((envoy.policy_dir / "applied.json").exists)
    await stack.enter_async_context(envoy)
    return Router(envoy)


@asynccontextmanager
async def engines() -> AsyncIterator[int]:
    """Engines that are ready, at every address of loopback and one port."""

    class Ready(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self._transport = transport

        def data_received(self, data: bytes) -> None:
            self._transport.write(_OK)

    server = await asyncio.get_running_loop().create_server(Ready, "0.0.0.0", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
