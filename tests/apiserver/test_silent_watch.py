"""A watch whose connection fell silent: it is opened anew, and while that fails the process is not healthy."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlparse

import yaml

from tests.apiserver.black_hole import BlackHole
from tests.apiserver.kube import Kube, eventually
from tests.apiserver.recording_watcher import create_config_map, recording_watcher

SERVER_TIMEOUT = 3  # Kopf passes it on as it is, and the API server takes whole seconds only
INACTIVITY = 2.0
STALE = SERVER_TIMEOUT + INACTIVITY + 1


async def test_it_is_noticed_and_mended(kube: Kube, tmp_path: Path) -> None:
    config = yaml.safe_load(kube.kubeconfig.read_text())
    port = urlparse(config["clusters"][0]["cluster"]["server"]).port
    assert port is not None
    async with BlackHole(port) as hole:
        config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{hole.port}"
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(config))
        async with recording_watcher(
            kubeconfig, kube.namespace, server_timeout=SERVER_TIMEOUT, inactivity=INACTIVITY
        ) as watcher:

            async def fresh() -> bool:
                return watcher.longest_silence() < STALE

            async def stale() -> bool:
                return watcher.longest_silence() > STALE

            await eventually(fresh)
            await create_config_map(kube, "before")
            await eventually(lambda: watcher.has_seen("before"))
            hole.freeze()
            await create_config_map(kube, "meanwhile")
            await eventually(stale)
            assert not await watcher.has_seen("meanwhile")
            hole.thaw()
            await eventually(fresh)
            await eventually(lambda: watcher.has_seen("meanwhile"))
