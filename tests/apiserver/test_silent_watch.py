"""A watch whose connection fell silent: it is opened anew, and while that fails the process is not healthy."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import yaml

from heterollm_controllers.api import names
from heterollm_operator.kube import watch
from heterollm_operator.kube.client import Api
from heterollm_operator.kube.freshness import Freshness
from heterollm_operator.kube.kinds import find, scopes
from heterollm_operator.runtime.metrics import Metrics
from tests.apiserver.black_hole import BlackHole
from tests.apiserver.kube import Kube, eventually

CONFIG_MAP = find("v1", "ConfigMap")
SERVER_TIMEOUT = 3  # Kopf passes it on as it is, and the API server takes whole seconds only
INACTIVITY = 2.0
STALE = SERVER_TIMEOUT + INACTIVITY + 1


class Watching:
    """A watcher of a namespace through a black hole, with short time-outs; notes what it hears of."""

    def __init__(self, api: Api, namespace: str) -> None:
        settings = watch.settings()
        settings.watching.server_timeout = SERVER_TIMEOUT
        settings.watching.inactivity_timeout = INACTIVITY
        settings.watching.connect_timeout = settings.networking.request_timeout = INACTIVITY
        self.heard: list[str] = []
        self.freshness = Freshness(scopes((namespace,)), time.monotonic)
        self.watcher = watch.Watcher(api, (namespace,), self._hear, self.freshness, Metrics(), settings)

    def _hear(self, _: str | None, body: dict[str, Any]) -> None:
        self.heard.append(body["metadata"]["name"])

    async def has_heard(self, name: str) -> bool:
        return name in self.heard

    def oldest(self) -> float:
        """Seconds since the last sign of life of the most silent watch."""
        return max(age if age is not None else float("inf") for age in self.freshness.ages().values())

    async def fresh(self) -> bool:
        return self.oldest() < STALE

    async def stale(self) -> bool:
        return self.oldest() > STALE


async def test_it_is_noticed_and_mended(kube: Kube, tmp_path: Path) -> None:
    config = yaml.safe_load(kube.kubeconfig.read_text())
    port = urlparse(config["clusters"][0]["cluster"]["server"]).port
    assert port is not None
    async with BlackHole(port) as hole:
        config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{hole.port}"
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(config))
        api = await Api.connect(str(kubeconfig))
        watching = Watching(api, kube.namespace)
        task = asyncio.create_task(watching.watcher.run())
        try:
            await eventually(watching.fresh)
            await create(kube, "before")
            await eventually(lambda: watching.has_heard("before"))
            hole.freeze()
            await create(kube, "meanwhile")
            await eventually(watching.stale)
            assert not await watching.has_heard("meanwhile")
            hole.thaw()
            await eventually(watching.fresh)
            await eventually(lambda: watching.has_heard("meanwhile"))
        finally:
            await watching.watcher.stop(5)
            await api.close()
        await task


async def create(kube: Kube, name: str) -> None:
    labels = names.labels("demo", "test")
    await kube.create(CONFIG_MAP, {"metadata": {"name": name, "labels": labels}})
