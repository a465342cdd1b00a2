"""The status page over HTTP: what it says, what it costs, and what it does when Prometheus is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from heterollm_controllers.api import names
from heterollm_operator.kube.store import Store
from heterollm_operator.process.health import serve
from heterollm_operator.process.status_page import StatusPage
from heterollm_operator.prometheus.client import Prometheus
from tests.shell.fake_prometheus import FakePrometheus, fake_prometheus, row, silent, vector
from tests.shell.test_health import Process
from tests.shell.virtual import VirtualClock
from tests.view.clusters import cluster


class Site:
    """A page on loopback, with what is behind it."""

    def __init__(self, url: str, store: Store, clock: VirtualClock) -> None:
        self.url, self.store, self.clock = url, store, clock
        self._version = 0

    def put(self, recorded: str, name: str = "demo", **status: Any) -> None:
        self._version += 1
        body = cluster(recorded, name, **status)
        metadata = {**body["metadata"], "resourceVersion": str(self._version)}
        self.store.put({**body, "apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": metadata})

    async def get(self, path: str, method: str = "GET") -> tuple[int, str, Mapping[str, str]]:
        async with aiohttp.ClientSession() as session, session.request(method, self.url + path) as response:
            return response.status, await response.text(), response.headers


async def site(source: Prometheus | None) -> AsyncIterator[Site]:
    process, store, clock = Process(), Store(lambda _: None), VirtualClock()
    runner = await serve(process.health, "127.0.0.1", 0, StatusPage(store, source, (), clock))
    host, port = runner.addresses[0][:2]
    try:
        yield Site(f"http://{host}:{port}", store, clock)
    finally:
        await runner.cleanup()


@pytest.fixture
async def plain() -> AsyncIterator[Site]:
    """Without Prometheus."""
    async for found in site(None):
        yield found


@pytest.fixture
async def fake() -> AsyncIterator[FakePrometheus]:
    async with fake_prometheus() as found:
        yield found


@pytest.fixture
async def measured(fake: FakePrometheus) -> AsyncIterator[Site]:
    async for found in site(Prometheus(fake.url, lambda: datetime.now(UTC))):
        yield found


async def test_fleet_and_cluster(plain: Site) -> None:
    plain.put("escalated")
    status, html, headers = await plain.get("/")
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert 'href="clusters/team/demo"' in html
    assert "Figures of Prometheus are missing: no address of Prometheus is set" in html
    status, html, headers = await plain.get("/clusters/team/demo")
    assert status == 200
    assert "Content-Security-Policy" in headers
    assert "TierEscalated" in html


async def test_it_is_read_only_and_beside_the_metrics(plain: Site) -> None:
    plain.put("serving")
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert (await plain.get("/", method))[0] == 405
        assert (await plain.get("/clusters/team/demo", method))[0] == 405
    assert "heterollm_clusters" in (await plain.get("/metrics"))[1]
    assert (await plain.get("/healthz"))[0] == 200


@pytest.mark.parametrize("path", ["/clusters/team/other", "/clusters/team/%3Cscript%3E", "/clusters/..%2F/demo"])
async def test_what_does_not_exist(plain: Site, path: str) -> None:
    plain.put("serving")
    status, text, headers = await plain.get(path)
    assert (status, text) == (404, "there is no such cluster\n")
    assert headers["Content-Type"].startswith("text/plain")


async def test_off_by_default() -> None:
    process = Process()
    runner = await serve(process.health, "127.0.0.1", 0)
    host, port = runner.addresses[0][:2]
    async with aiohttp.ClientSession() as session, session.get(f"http://{host}:{port}/") as response:
        assert response.status == 404
    await runner.cleanup()


async def test_a_page_is_made_once_in_five_seconds(measured: Site, fake: FakePrometheus) -> None:
    measured.put("serving")
    await asyncio.gather(*(measured.get("/") for _ in range(10)))
    once = len(fake.asked)
    assert once == 5
    measured.put("escalated")
    assert "Escalated" not in (await measured.get("/"))[1]
    measured.clock.now += 5.1
    assert "Escalated" in (await measured.get("/"))[1]
    assert len(fake.asked) == 2 * once


async def test_a_deleted_cluster_has_no_page(plain: Site) -> None:
    plain.put("serving")
    assert (await plain.get("/clusters/team/demo"))[0] == 200
    body = cluster("serving")
    metadata = {**body["metadata"], "resourceVersion": "99"}
    plain.store.remove({**body, "apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": metadata})
    assert (await plain.get("/clusters/team/demo"))[0] == 404


async def test_figures_are_shown(measured: Site, fake: FakePrometheus) -> None:
    measured.put("serving")

    async def answer(request: aiohttp.web.Request, form: dict[str, str]) -> Any:
        place = {"namespace": "team", "heterollm_namespace": "team", "heterollm_cluster": "demo"}
        asked = "requests_total" in form["query"] and request.match_info["kind"] == "query"
        rows = [row(17.3, None, **place, heterollm_tier="small", code="200")] if asked else []
        return aiohttp.web.json_response(vector(*rows))

    fake.answer = answer
    assert "17.3" in (await measured.get("/"))[1]
    page = (await measured.get("/clusters/team/demo"))[1]
    assert "<dt>Requests/s</dt><dd>17.3</dd>" in page
    assert "missing" not in page


async def test_a_prometheus_that_hangs_holds_up_nothing_else(measured: Site, fake: FakePrometheus) -> None:
    fake.answer = silent
    measured.put("serving")
    loop = asyncio.get_running_loop()
    began = loop.time()
    waiting = asyncio.create_task(measured.get("/"))
    await asyncio.sleep(0.3)
    assert (await measured.get("/healthz"))[0] == 200
    assert loop.time() - began < 3, "other pages answer meanwhile"
    status, html, _ = await waiting
    assert status == 200
    assert "Figures of Prometheus are missing: no answer in time" in html
    assert "team/demo" in html
    assert loop.time() - began < 8
    asked, again = len(fake.asked), loop.time()
    assert (await measured.get("/clusters/team/demo"))[0] == 200
    measured.clock.now += 6
    assert (await measured.get("/"))[0] == 200
    assert len(fake.asked) == asked, "it is not asked again at once"
    assert loop.time() - again < 2
    measured.clock.now += 15
    fake.answer = lambda *_: _nothing()
    assert "missing" not in (await measured.get("/"))[1]


async def _nothing() -> Any:
    return aiohttp.web.json_response(vector())


async def test_too_many_at_a_time_are_sent_away(measured: Site, fake: FakePrometheus) -> None:
    fake.answer = silent
    measured.put("serving")
    answers = await asyncio.gather(*(measured.get("/") for _ in range(40)))
    statuses = [status for status, _, _ in answers]
    assert statuses.count(200) == 16
    assert statuses.count(503) == 24


async def test_a_thousand_clusters_leave_the_loop_to_others(plain: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(1000):
        plain.put("escalated", f"c-{number}")
    reads, most, get = 0, 0, plain.store.get

    def counted(*of: Any) -> Any:
        nonlocal reads
        reads += 1
        return get(*of)

    monkeypatch.setattr(plain.store, "get", counted)
    loop = asyncio.get_running_loop()
    began = loop.time()
    asked = asyncio.create_task(plain.get("/"))
    while not asked.done():
        await asyncio.sleep(0)
        reads, most = 0, max(most, reads)
    print(f"a page of 1,000 clusters in {loop.time() - began:.2f} s")
    status, html, _ = await asked
    assert status == 200
    assert "1000 clusters; the 200 that most need somebody are shown" in html
    assert most == 1, "clusters that were looked at in one turn of the event loop"
