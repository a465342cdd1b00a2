"""The operator's part of a change: from an engine's readiness, told by a kubelet, to the policy that routers see."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import AsyncExitStack
from pathlib import Path

from e2e.bench.clusters import BenchApi, prepare
from e2e.bench.router_account import agent_environment
from e2e.cluster.controlplane import ControlPlane
from heterollm_agent.policy_watch import configmaps, policy_from_configmap
from heterollm_agent.settings import Settings
from heterollm_controllers.api import names
from heterollm_operator.kube.kinds import CLUSTER, find
from tests.apiserver.kube import Kube, eventually, sample
from tests.apiserver.kubelet import POD, FakeKubelet
from tests.apiserver.process import OperatorProcess

__all__ = ["readiness"]

_NAMESPACE, _NAME, _ENGINE = "bench", "demo", "10.99.0."
_PATIENCE = 30.0
_PAUSE = 0.3
"""Seconds between two changes."""


async def readiness(folder: Path, changes: int) -> list[float]:
    """Milliseconds from the API server's answer to the kubelet until a watch of the policy tells of it."""
    async with AsyncExitStack() as stack:
        control_plane = stack.enter_context(ControlPlane.start(folder))
        api = await BenchApi.connect(str(control_plane.kubeconfig))
        stack.push_async_callback(api.close)
        await prepare(api)
        operator = OperatorProcess(control_plane.kubeconfig, _NAMESPACE, folder / "operator.log")
        stack.push_async_callback((await operator.start()).stop)
        # Nothing is asked of the audit log.
        kube = Kube(api, control_plane.kubeconfig, Path(), _NAMESPACE)
        await kube.apply(CLUSTER, sample(_NAME))
        await _routed(kube, 2)
        seen = Watcher(Settings.read(await agent_environment(api, control_plane, _NAMESPACE, _NAME)))
        seen.start()
        return [await _one(kube, seen, ready=bool(number % 2)) for number in range(changes)]


async def _one(kube: Kube, seen: Watcher, *, ready: bool) -> float:
    await asyncio.sleep(_PAUSE)
    before = seen.version
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    path = POD.path(_NAMESPACE, f"{_NAME}-small-0-0", "status")
    await kube.api.request(
        "PATCH",
        path,
        body={"status": {"conditions": [condition]}},
        content_type="application/strategic-merge-patch+json",
        limit=_PATIENCE,
    )
    told = time.monotonic()
    return 1000 * (await asyncio.to_thread(seen.after, before) - told)


class Watcher(threading.Thread):
    """A router's watch: when which version came."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(daemon=True)
        self._settings = settings
        self._news = threading.Condition()
        self.version = 0
        self._came = 0.0

    def run(self) -> None:
        for configmap in configmaps(self._settings):
            if configmap is not None:
                with self._news:
                    self.version, self._came = policy_from_configmap(configmap).version, time.monotonic()
                    self._news.notify_all()

    def after(self, version: int) -> float:
        """Wait for a version after this one; when it came, in seconds of the monotonic clock."""
        with self._news:
            if not self._news.wait_for(lambda: self.version > version, _PATIENCE):
                raise TimeoutError(f"the policy has not changed within {_PATIENCE:g} s")
            return self._came


async def _routed(kube: Kube, engines: int) -> None:
    """Wait until the policy names so many engines of the first tier."""
    kubelet = FakeKubelet(kube)

    async def looks() -> bool:
        await kubelet.make_ready()
        policy = await kube.get(find("v1", "ConfigMap"), names.policy_name(_NAME))
        return str(policy["data"]["eds-small.json"]).count(_ENGINE) == engines

    await eventually(looks, _PATIENCE)
