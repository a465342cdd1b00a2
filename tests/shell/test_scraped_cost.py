"""A real Prometheus scrapes what the operator says of cost, and the chart's rules make dollars of it."""

from __future__ import annotations

import asyncio
import itertools
import json
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest

from e2e.monitoring.rules import rule_groups
from heterollm_controllers.cost.tier_cost import TierCost
from heterollm_operator.kube.store import Key
from heterollm_operator.process.cluster_metrics import ClusterMetrics
from heterollm_operator.process.cost_metrics import CostMetrics
from heterollm_operator.runtime.clock import SystemClock
from tests.shell.prometheus_tools import needs, prometheus

pytestmark = needs("prometheus", "promtool")

KEY = Key("ns", "c")
ROUTERS = 'heterollm_namespace="ns",heterollm_cluster="c",heterollm_tier="large"'
ANSWERS = itertools.count(1000, 100)
"""At each scrape a hundred more."""


def operator_page() -> bytes:
    costs, clusters = CostMetrics(SystemClock().monotonic), ClusterMetrics(dict, lambda _: None)
    small = TierCost("small", 4, 16.0, engine_dollars_per_hour=8.0, engine_rate=180.0)
    large = TierCost("large", 32, 128.0, engine_dollars_per_hour=128.0, engine_rate=18.0, last=True)
    costs.reconciled(KEY, [small, large])
    tiers = [{"name": name, "desired": 1, "serving": 1} for name in ("small", "large")]
    clusters.reconciled(KEY, {"mode": "Normal", "tiers": tiers})
    registry = CollectorRegistry()
    for collector in (costs, clusters):
        registry.register(collector)
    return generate_latest(registry)


def routers_page() -> str:
    name = "heterollm_router_requests_total"
    return f'# TYPE {name} counter\n{name}{{{ROUTERS},code="200"}} {next(ANSWERS)}\n'


@pytest.mark.parametrize("honoured", [True, False])
async def test_dollars_of_what_is_scraped(tmp_path: Path, honoured: bool) -> None:
    operator = operator_page()

    async def page(request: web.Request) -> web.Response:
        return web.Response(body=operator) if request.path == "/operator" else web.Response(text=routers_page())

    app = web.Application()
    app.add_routes([web.get(path, page) for path in ("/operator", "/routers")])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    jobs = [
        {
            "job_name": path,
            "metrics_path": f"/{path}",
            "honor_labels": honoured and path == "operator",
            "static_configs": [{"targets": [f"{host}:{port}"], "labels": {"namespace": namespace, "pod": path}}],
        }
        for path, namespace in (("operator", "heterollm-system"), ("routers", "ns"))
    ]
    rules = tmp_path / "rules.yml"
    rules.write_text(json.dumps({"groups": rule_groups()}))
    often = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config = {"global": often, "rule_files": [str(rules)], "scrape_configs": jobs}
    with prometheus(tmp_path, config=json.dumps(config)) as address:
        saved = await first_value(address, "heterollm:saving:ratio1h")
        dollars = await value(address, "heterollm:dollars:rate1h")
        engines = await value(address, "heterollm:counterfactual_engines:rate1h")
        last = await value(address, "heterollm_tier:last:max == 1")
    await runner.cleanup()
    assert dollars == pytest.approx(144 / 3600)
    assert engines is not None
    assert engines >= 1
    assert saved <= 1 - 144 / (128 * 6)
    assert last == 1


async def first_value(address: str, query: str) -> float:
    """Wait for the one value of a query."""
    async with asyncio.timeout(60):
        while True:
            if (found := await value(address, query)) is not None:
                return found
            await asyncio.sleep(0.5)


async def value(address: str, query: str) -> float | None:
    """The one value of a query; None as long as there is none."""
    url = f"{address}/api/v1/query"
    async with aiohttp.ClientSession() as session, session.get(url, params={"query": query}) as response:
        found = (await response.json())["data"]["result"]
    assert len(found) <= 1
    return float(found[0]["value"][1]) if found else None
