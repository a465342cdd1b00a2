"""A watcher of the operator's that records what it is told of, through time-outs short enough for a test."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from heterollm_controllers.api import names
from heterollm_operator.kube import watch
from heterollm_operator.kube.client import Api
from heterollm_operator.kube.freshness import Freshness
from heterollm_operator.kube.kinds import find, scopes
from heterollm_operator.runtime.metrics import Metrics
from tests.apiserver.kube import Kube

__all__ = ["CONFIG_MAP", "RecordingWatcher", "create_config_map", "recording_watcher"]

CONFIG_MAP = find("v1", "ConfigMap")


class RecordingWatcher:
    """Records the name of each object the watcher is told of."""

    def __init__(self, api: Api, namespaces: tuple[str, ...], server_timeout: int, inactivity: float | None) -> None:
        settings = watch.settings()
        settings.watching.server_timeout = server_timeout
        if inactivity is not None:
            settings.watching.inactivity_timeout = inactivity
            settings.watching.connect_timeout = settings.networking.request_timeout = inactivity
        self.names: list[str] = []
        self.freshness = Freshness(scopes(namespaces), time.monotonic)
        self.watcher = watch.Watcher(api, namespaces, self._record, self.freshness, Metrics(), settings)

    def _record(self, _: str | None, body: Mapping[str, Any]) -> None:
        self.names.append(body["metadata"]["name"])

    async def has_seen(self, name: str) -> bool:
        return name in self.names

    def longest_silence(self) -> float:
        """Seconds since the last event of the watch that has been silent longest."""
        return max(float("inf") if age is None else age for age in self.freshness.ages().values())


@asynccontextmanager
async def recording_watcher(
    kubeconfig: Path, *namespaces: str, server_timeout: int, inactivity: float | None = None
) -> AsyncIterator[RecordingWatcher]:
    """Watch namespaces. Fails if the watcher ends before the block does.

    `server_timeout`: whole seconds after which the API server ends a watch, and permissions are checked again.
    `inactivity`: seconds of silence after which a connection is given up; by default as in the operator.
    """
    api = await Api.connect(str(kubeconfig))
    recording = RecordingWatcher(api, namespaces, server_timeout, inactivity)
    task = asyncio.create_task(recording.watcher.run())
    try:
        yield recording
        assert not task.done()
    finally:
        await recording.watcher.stop(5)
        await api.close()
    await task


async def create_config_map(kube: Kube, name: str) -> None:
    """Create a ConfigMap that the operator watches."""
    await kube.create(CONFIG_MAP, {"metadata": {"name": name, "labels": names.labels("demo", "test")}})
