"""Every panel shows something, on a real Prometheus that scrapes a real router, simulated engines and our own metrics.

`e2e/steering` does the same with the operator itself, on a whole node.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest

from e2e.monitoring.dashboards import EMPTY, Asked, asked
from e2e.monitoring.rules import rule_groups
from heterollm_controllers.api.decimals import DecimalNumber
from heterollm_controllers.api.v1alpha1.migration_status import GateStatus, MigrationStatus
from heterollm_controllers.api.v1alpha1.status import Decision, HeteroLLMClusterStatus
from heterollm_controllers.cost.tier_cost import TierCost
from heterollm_operator.kube.store import Key
from heterollm_operator.process.cluster_metrics import ClusterMetrics
from heterollm_operator.process.cost_metrics import CostMetrics
from heterollm_operator.runtime.clock import SystemClock
from tests.router.agent import Agent
from tests.router.envoy import Envoy, chat, policy
from tests.router.fleet import Fleet, SimulatedEngine, brisk
from tests.router.load import Load
from tests.shell.prometheus_tools import needs, prometheus

pytestmark = needs("prometheus", "promtool")

NAMESPACE, NAME = "here", "demo"
KEY = Key(NAMESPACE, NAME)
SECONDS = 240
"""How long to wait: some look at whole minutes, and machines may be busy."""


def status(now: datetime) -> dict[str, Any]:
    """Of a cluster in the middle of a migration."""
    gate = GateStatus(
        name="Errors",
        state="Undecided",
        evidence=DecimalNumber("2.5"),
        against=DecimalNumber("0.1"),
        requests_needed=900,
        message="of 2,900 none failed",
    )
    migration = MigrationStatus(
        mode="Auto",
        state="Advancing",
        percent=50,
        since=now,
        reason="MigrationAdvances",
        message="so",
        updated=now - timedelta(minutes=3),
        counted=now,
        gates=(gate,),
    )
    decision = Decision(time=now, action="MigrationAdvances", subject="cluster", message="so")
    tiers = [{"name": name, "desired": 1, "serving": 1} for name in ("small", "large")]
    wire = HeteroLLMClusterStatus(migration=migration, decisions=(decision,)).to_wire()
    return {**wire, "tiers": tiers}


def operator(now: datetime) -> CollectorRegistry:
    """What its metrics say of such a cluster."""
    costs, clusters = CostMetrics(SystemClock().monotonic), ClusterMetrics(dict, lambda _: None)
    small = TierCost("small", 4, 16.0, engine_dollars_per_hour=8.0, engine_rate=180.0)
    large = TierCost("large", 32, 128.0, engine_dollars_per_hour=128.0, engine_rate=18.0, last=True)
    costs.reconciled(KEY, [small, large])
    clusters.reconciled(KEY, status(now))
    registry = CollectorRegistry()
    for collector in (costs, clusters):
        registry.register(collector)
    return registry


@asynccontextmanager
async def served(registry: CollectorRegistry) -> AsyncIterator[str]:
    """The address of its metrics."""

    async def page(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry))

    app = web.Application()
    app.add_routes([web.get("/metrics", page)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    yield f"{host}:{port}"
    await runner.cleanup()


def engine(tier: str) -> SimulatedEngine:
    """One whose metrics carry the labels that the operator gives it."""
    labels = {"heterollm_namespace": NAMESPACE, "heterollm_cluster": NAME, "heterollm_tier": tier}
    return SimulatedEngine(f"{NAME}-{tier}-0-0", ("--enable-metrics", "--extra-metric-labels", json.dumps(labels)))


def job(name: str, address: str, namespace: str, honoured: bool = False) -> dict[str, Any]:
    labels = {"namespace": namespace, "pod": name}
    return {
        "job_name": name,
        "honor_labels": honoured,
        "static_configs": [{"targets": [address], "labels": labels}],
    }


@pytest.mark.parametrize("honoured", [True, False])
async def test_every_panel_shows_something(tmp_path: Path, honoured: bool) -> None:
    small, large = engine("small"), engine("large")
    tiers = policy(Fleet.tier("small", small, diverted_percent=50), Fleet.tier("large", large), slow_after_ms=400)
    rules = tmp_path / "rules.yml"
    rules.write_text(json.dumps({"groups": rule_groups()}))
    often = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    try:
        await asyncio.gather(small.start(), large.start())
        await small.faults(error_rate=0.1)
        async with (
            Envoy(tiers, brisk) as envoy,
            Agent(envoy.policy_dir, admin=envoy.admin_url) as agent,
            served(operator(datetime.now(UTC))) as own,
            envoy.session() as client,
            Load(client, 2),
            Load(client, 1, model="large"),
            Streams(client),
        ):
            router = urlsplit(agent.url).netloc
            jobs = [
                job("operator", own, "heterollm-system", honoured),
                job("router", router, NAMESPACE),
                *(job(item.pod, f"127.0.0.1:{item.port}", NAMESPACE) for item in (small, large)),
            ]
            config = {"global": often, "rule_files": [str(rules)], "scrape_configs": jobs}
            with prometheus(tmp_path, config=json.dumps(config)) as address:
                assert await empty(address) == {}
    finally:
        await asyncio.gather(small.kill(), large.kill())


class Streams:
    """A client that asks for streams, as long as its block runs."""

    def __init__(self, client: aiohttp.ClientSession) -> None:
        self._client = client

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def __aexit__(self, *error: object) -> None:
        self._task.cancel()

    async def _run(self) -> None:
        number = 0
        while True:
            number += 1
            body = {**chat(f"stream {number}"), "stream": True}
            async with self._client.post("/v1/chat/completions", json=body) as answer:
                await answer.read()


async def empty(address: str) -> dict[str, str]:
    """What gives nothing, or no numbers, until then; the queries by their panels."""
    wanted = [item for item in asked() if (item.dashboard, item.panel) not in EMPTY]
    assert len(wanted) > 80
    began = time.time()
    while wanted and time.time() < began + SECONDS:
        wanted = [item for item in wanted if not await has_numbers(address, item, began)]
        await asyncio.sleep(1)
    return {f"{item.dashboard}: {item.panel} ({item.number})": item.text for item in wanted}


async def has_numbers(address: str, item: Asked, began: float) -> bool:
    query: dict[str, str | float] = {"query": item.filled(NAMESPACE, NAME, "1h"), "step": 1}
    query |= {"start": began, "end": time.time()}
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{address}/api/v1/query_range", params=query) as response,
    ):
        found = (await response.json())["data"]["result"]
    return any(value != "NaN" for series in found for _, value in series["values"])
