"""What the probes and metrics say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest

from heterollm_operator.kube.freshness import Freshness
from heterollm_operator.kube.kinds import Scope, find
from heterollm_operator.kube.store import Key, Store
from heterollm_operator.process.health import Health, serve
from heterollm_operator.process.queue import WorkQueue
from heterollm_operator.runtime.metrics import Metrics
from tests.shell.objects import cluster
from tests.shell.virtual import VirtualClock

PODS = Scope(find("v1", "Pod"), None)


class Process:
    """A process with nothing in it but signs of life."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.freshness = Freshness([PODS], self.clock.monotonic)
        self.elector = SimpleNamespace(beat=None, leading=True)
        self.worker = SimpleNamespace(since={})
        self.queue: WorkQueue[Key] = WorkQueue(self.clock.monotonic)
        self.store = Store(self.queue.add)
        self.health = Health(
            self.freshness,
            200,
            cast(Any, self.elector),
            cast(Any, self.worker),
            self.queue,
            self.store,
            Metrics(),
            "me",
            self.clock.monotonic,
        )

    def listed(self) -> None:
        self.freshness.opened(PODS)
        self.freshness.verified(PODS)


@pytest.fixture
def process() -> Process:
    return Process()


@pytest.fixture
async def url(process: Process) -> AsyncIterator[str]:
    runner = await serve(process.health, "127.0.0.1", 0)
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}"
    await runner.cleanup()


async def get(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.text()


async def test_a_starting_process_is_alive_but_not_ready(process: Process, url: str) -> None:
    process.clock.now = 10_000  # the API server may be away for long
    assert await get(f"{url}/healthz") == (200, "ok\n")
    assert await get(f"{url}/readyz") == (503, "not listed yet: /api/v1/pods\n")
    process.listed()
    assert await get(f"{url}/readyz") == (200, "ok\n")


async def test_a_silent_watch_is_noticed(process: Process, url: str) -> None:
    process.listed()
    process.clock.now = 200
    assert (await get(f"{url}/healthz"))[0] == 200
    process.clock.now = 201
    assert await get(f"{url}/healthz") == (503, "watch of /api/v1/pods is stale: no sign of life for 201 s\n")
    assert (await get(f"{url}/readyz"))[0] == 503
    process.freshness.event(PODS)
    assert (await get(f"{url}/healthz"))[0] == 200


async def test_what_is_refused_is_said_but_is_no_reason_to_restart(process: Process, url: str) -> None:
    process.listed()
    process.freshness.failed(PODS, 403, "forbidden")
    process.clock.now = 190
    process.freshness.failed(PODS, 403, "forbidden")  # an answer is a sign of life
    process.clock.now = 250
    assert await get(f"{url}/healthz") == (200, "ok\nrefused: /api/v1/pods: forbidden\n")
    # It is all that there is to see.
    assert await get(f"{url}/readyz") == (503, "refused: /api/v1/pods: forbidden\n")
    metrics = (await get(f"{url}/metrics"))[1].splitlines()
    assert 'heterollm_watch_refused{namespace="",resource="pods"} 1.0' in metrics
    process.freshness.verified(PODS)
    assert await get(f"{url}/readyz") == (200, "ok\n")


async def test_a_replica_that_sees_a_part_is_ready(process: Process, url: str) -> None:
    other = Scope(find("v1", "Service"), None)
    process.freshness.__init__([PODS, other], process.clock.monotonic)  # type: ignore[misc]
    process.listed()
    process.freshness.failed(other, 403, "forbidden")
    assert await get(f"{url}/readyz") == (200, "ok\nrefused: /api/v1/services: forbidden\n")


def test_a_hung_election_is_noticed(process: Process) -> None:
    process.elector.beat = 0.0
    process.clock.now = 60
    assert process.health.not_alive() == []
    process.clock.now = 61
    assert process.health.not_alive() == ["leader election hangs for 61 s"]


def test_a_hung_look_is_noticed(process: Process) -> None:
    process.worker.since[Key("ns", "c")] = 0.0
    process.clock.now = 300
    assert process.health.not_alive() == []
    process.clock.now = 301
    assert process.health.not_alive() == ["the reconcile of ns/c hangs for 301 s"]


async def test_metrics_show_the_moment(process: Process, url: str) -> None:
    process.listed()
    process.store.put(cluster())
    process.clock.now = 3
    lines = (await get(f"{url}/metrics"))[1].splitlines()
    for line in (
        "heterollm_queue_depth 1.0",
        "heterollm_clusters 1.0",
        'heterollm_leader{identity="me"} 1.0',
        'heterollm_watch_age_seconds{namespace="",resource="pods"} 3.0',
    ):
        assert line in lines
