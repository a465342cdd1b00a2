"""What a scraped pod says of itself does not change where a real Prometheus, configured as documented, says it is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from heterollm_controllers.api.signals import PodSignal
from heterollm_operator.kube.store import Key
from heterollm_operator.prometheus.client import Prometheus
from heterollm_operator.prometheus.poller import Poller, Polling
from heterollm_operator.runtime.clock import SystemClock
from heterollm_operator.runtime.metrics import Metrics
from tests.shell.objects import spec
from tests.shell.prometheus_tools import needs, prometheus

pytestmark = needs("prometheus", "promtool")

VICTIM, POD = Key("ns", "c"), "c-small-0-0"
FIGURES = {"num_queue_reqs": 5, "num_running_reqs": 10, "token_usage": 0.5}


def exposed(factor: float, **labels: str) -> str:
    """What an engine's pod exposes."""
    told = ",".join(f'{name}="{value}"' for name, value in labels.items())
    names = {f"sglang:{name}": value * factor for name, value in FIGURES.items()}
    return "".join(f"# TYPE {name} gauge\n{name}{{{told}}} {value}\n" for name, value in names.items())


CLAIMS = {"heterollm_cluster": "c", "heterollm_namespace": "ns", "heterollm_tier": "small"}
PAGES = {
    "/ns": exposed(1, **CLAIMS),
    "/mallory": exposed(1000, **CLAIMS, namespace="ns", pod=POD, job="pods", instance="ns:1")
    + exposed(1000, **CLAIMS, exported_namespace="ns", exported_pod=POD),
}


@pytest.fixture
async def scraped(tmp_path: Path) -> AsyncIterator[str]:
    """A Prometheus that scrapes a pod of the victim's and one of a neighbour's."""

    async def page(request: web.Request) -> web.Response:
        return web.Response(text=PAGES[request.path])

    app = web.Application()
    app.add_routes([web.get(path, page) for path in PAGES])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    targets = {"/ns": ("ns", POD), "/mallory": ("mallorys", "m-0")}
    groups = [
        {"targets": [f"{host}:{port}"], "labels": {"__metrics_path__": path, "namespace": namespace, "pod": pod}}
        for path, (namespace, pod) in targets.items()
    ]
    config = {"global": {"scrape_interval": "1s"}, "scrape_configs": [{"job_name": "pods", "static_configs": groups}]}
    with prometheus(tmp_path, config=json.dumps(config)) as address:
        yield address
    await runner.cleanup()


async def test_a_pod_that_says_it_is_another(scraped: str) -> None:
    known = {key: spec("small", "large") for key in (VICTIM, Key("mallorys", "c"))}
    source = Prometheus(scraped, SystemClock().utc)
    polling = Polling(scrape_seconds=1)
    poller = Poller(source, polling, lambda: known, lambda *_: False, lambda _: None, Metrics(), SystemClock())
    async with asyncio.timeout(30):
        while True:
            await poller.tick()
            found = poller.readings(VICTIM)
            assert found is not None
            if set(found.pods.get(POD, {})) >= {PodSignal.QUEUE, PodSignal.RUNNING, PodSignal.KV_USE}:
                break
            await asyncio.sleep(0.3)
    assert found.failure == ""
    assert set(found.pods) == {POD}
    told = found.pods[POD]
    assert (told[PodSignal.QUEUE], told[PodSignal.RUNNING], told[PodSignal.KV_USE]) == (5, 10, 0.5)
