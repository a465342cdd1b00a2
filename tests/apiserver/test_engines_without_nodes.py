"""Engines that no node takes, with a real API server and scheduler: they go once nobody needs them."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from heterollm_controllers.api.signals import ClusterSignal, PodSignal
from heterollm_operator.kube.kinds import CLUSTER, find
from heterollm_operator.prometheus.queries import HistoryFigure, Name, Selection, history, now
from tests.apiserver.conftest import StartOperator
from tests.apiserver.kube import Kube, eventually, sample
from tests.apiserver.kubelet import POD, FakeKubelet
from tests.shell.fake_prometheus import fake_prometheus, row, vector

STATEFUL_SET = find("apps/v1", "StatefulSet")
SCRAPE = 5
LONG_AGO = "2026-01-01T00:00:00Z"


class Figures:
    """What Prometheus has of the cluster's small engines that serve, and of its routers."""

    def __init__(self, namespace: str) -> None:
        self.queue = 0
        """Requests that wait in each."""
        self._own = {"heterollm_cluster": "demo", "namespace": namespace}
        selection = Selection(30, SCRAPE, (namespace,), (30_000,))
        self._names = {query.text: name for name, query in (now(selection) | history(selection)).items()}

    async def answer(self, request: web.Request, form: dict[str, str]) -> web.StreamResponse:
        name = self._names[form["query"]]
        if isinstance(name, HistoryFigure):
            rows = [self._minutes(int(form["start"]), tier) for tier in ("small", "large")]
            return web.json_response({"status": "success", "data": {"resultType": "matrix", "result": rows}})
        if name == ClusterSignal.ROUTERS:
            return web.json_response(vector(row(2, None, **self._own)))
        values: dict[Name, float] = {
            PodSignal.QUEUE: self.queue,
            PodSignal.RUNNING: 1,
            PodSignal.KV_USE: 0.1,
            PodSignal.AGE: 1,
        }
        if name in values:
            pods = ("demo-small-0-0", "demo-small-1-0", "demo-large-0-0")
            return web.json_response(vector(*(row(values[name], None, pod=pod, **self._own) for pod in pods)))
        return web.json_response(vector())

    def _minutes(self, start: int, tier: str) -> dict[str, Any]:
        return {
            "metric": {**self._own, "heterollm_tier": tier},
            "values": [[start + 60 * minute, "0.1"] for minute in range(60)],
        }


async def small_engines(kube: Kube) -> set[str]:
    return {item["metadata"]["name"] for item in await kube.find(STATEFUL_SET) if "-small-" in item["metadata"]["name"]}


async def raised_long_ago(kube: Kube) -> bool:
    """As if the time within which nothing leaves were over."""
    cluster = await kube.get(CLUSTER, "demo")
    tiers, version = cluster["status"]["tiers"], cluster["metadata"]["resourceVersion"]
    for tier in tiers:
        if "scaling" in tier:
            tier["scaling"] |= {"decidedAt": LONG_AGO, "raisedAt": LONG_AGO}
    content = "application/merge-patch+json"
    path = CLUSTER.path(kube.namespace, "demo", "status")
    body = {"metadata": {"resourceVersion": version}, "status": {"tiers": tiers}}
    await kube.api.request("PATCH", path, body=body, content_type=content, limit=20)
    return True


async def test_they_go_and_those_that_serve_stay(kube: Kube, operator: StartOperator) -> None:
    figures = Figures(kube.namespace)
    async with fake_prometheus() as prometheus:
        prometheus.answer = figures.answer
        options = (f"--prometheus-url={prometheus.url}", f"--scrape-seconds={SCRAPE}", "--poll-seconds=1")
        process = await operator(*options)
        await eventually(process.leads)
        await kube.apply(CLUSTER, sample(nodes=1))
        await eventually(lambda: kube.programmed("demo"))

        async def serving() -> bool:
            await FakeKubelet(kube).make_ready()
            tiers = (await kube.get(CLUSTER, "demo"))["status"]["tiers"]
            return [tier["serving"] for tier in tiers] == [2, 1]

        await eventually(serving)
        served = {item["metadata"]["uid"] for item in await kube.find(POD)}
        figures.queue = 100

        async def unschedulable() -> bool:
            tier = (await kube.get(CLUSTER, "demo"))["status"]["tiers"][0]
            phases = [engine["phase"] for engine in tier["engines"]]
            return phases == ["Serving"] * 2 + ["Unschedulable"] * 2

        await eventually(unschedulable)
        figures.queue = 0
        await eventually(lambda: raised_long_ago(kube))

        async def withdrawn() -> bool:
            tier = (await kube.get(CLUSTER, "demo"))["status"]["tiers"][0]
            assert tier["desired"] == 2
            return await small_engines(kube) == {"demo-small-0", "demo-small-1"}

        await eventually(withdrawn)
        assert served <= {item["metadata"]["uid"] for item in await kube.find(POD)}
