"""The poller beside a real Prometheus, where one is installed, that holds an hour of written metrics."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from operator import mul
from pathlib import Path

import pytest

from heterollm_controllers.api.signals import ClusterSignal, PodSignal, TierSignal
from heterollm_controllers.metrics.readings import Readings
from heterollm_controllers.metrics.side_minutes import Side
from heterollm_operator.kube.store import Key
from heterollm_operator.prometheus.client import Prometheus
from heterollm_operator.prometheus.poller import Poller, Polling
from heterollm_operator.runtime.clock import SystemClock
from heterollm_operator.runtime.metrics import Metrics
from tests.shell.objects import spec
from tests.shell.prometheus_tools import needs, prometheus

pytestmark = needs("prometheus", "promtool")

A, B = Key("ns", "c"), Key("other", "c")
EVERY = 15
HOUR = 3600


def metrics(now: int) -> Iterator[str]:
    """An hour of scrapes of one engine and one router of two clusters, in OpenMetrics, until five seconds ago."""
    times = range(now - 5 - HOUR, now - 4, EVERY)
    for name, kind, labels, value in series():
        if labels == "":
            yield f"# TYPE {name} {kind}"
            continue
        yield from (f"{name}{{{labels}}} {value(number)} {at}" for number, at in enumerate(times))
    yield "# EOF"


def series() -> Iterator[tuple[str, str, str, Callable[[int], float]]]:
    """Name, type, labels and the value of each scrape; without labels the head of a family."""
    gauges = {
        "sglang:num_queue_reqs": lambda n: 5,
        "sglang:num_running_reqs": lambda n: 20 if n % 16 == 0 else 10,
        "sglang:token_usage": lambda n: 0.5,
    }
    for name, value in gauges.items():
        yield name, "gauge", "", value
        for key in (A, B):
            yield name, "gauge", labels(key, "c-small-0-0", 'heterollm_tier="small",tp_rank="0"'), value
    yield "heterollm_router_envoy_up", "gauge", "", lambda n: 1
    for key in (A, B):
        yield "heterollm_router_envoy_up", "gauge", labels(key, "c-router-1"), lambda n: 1
    yield "heterollm_router_requests_total", "unknown", "", lambda n: 0
    request = 'wanted_tier="small",diverted="false",attempts="1",decision="score"'
    for key, tier, code, rate in ((A, "small", "200", 8), (A, "large", "200", 2), (B, "small", "200", 1)):
        told = labels(key, "c-router-1", f'{request},heterollm_tier="{tier}",code="{code}"')
        yield "heterollm_router_requests_total", "unknown", told, partial(mul, rate * EVERY)
    yield "heterollm_router_side_total", "unknown", "", lambda n: 0
    for outcome, diverted, rate in (("ok", "false", 3), ("failed", "true", 1)):
        told = labels(A, "c-router-1", f'wanted_tier="small",diverted="{diverted}",outcome="{outcome}"')
        yield "heterollm_router_side_total", "unknown", told, partial(mul, rate * EVERY)


def labels(key: Key, pod: str, more: str = "") -> str:
    own = f'heterollm_cluster="{key.name}",heterollm_namespace="{key.namespace}",namespace="{key.namespace}"'
    return ",".join(filter(None, (own, f'pod="{pod}",job="pods",instance="{key.namespace}-{pod}:1"', more)))


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with prometheus(tmp_path, "\n".join(metrics(int(time.time()))) + "\n") as address:
        yield address


async def test_real_answers_become_readings(url: str) -> None:
    clock = SystemClock()
    own = {
        "tried": "sum by (heterollm_tier) (rate(",
        "queue": '42 * count by (pod) (up_or_not{ns="$namespace"} or vector(1))',
    }
    known = {
        A: spec("small", "large", migration={"mode": "Auto"}),
        B: spec("small", "large", observability={"queries": own}),
    }
    source = Prometheus(url, clock.utc)
    poller = Poller(source, Polling(), lambda: known, lambda *_: False, lambda _: None, Metrics(), clock)
    await poller.tick()
    found, other = poller.readings(A), poller.readings(B)
    assert found is not None
    assert other is not None
    check(found)
    assert other.failure.startswith('the query for tried: invalid parameter "query"')
    assert TierSignal.TRIED not in other.tiers["small"]
    assert other.tiers["small"][TierSignal.ANSWERED] == pytest.approx(1, rel=0.05)


def check(found: Readings) -> None:
    """What the first cluster must know."""
    assert found.failure == ""
    pod = dict(found.pods["c-small-0-0"])
    assert 4 < pod.pop(PodSignal.AGE) < 30
    assert pod.pop(PodSignal.RUNNING) in (10, 20)
    assert pod == {PodSignal.QUEUE: 5, PodSignal.KV_USE: 0.5}
    small, large = found.tiers["small"], found.tiers["large"]
    assert small[TierSignal.TRIED] == pytest.approx(10, rel=0.05)
    assert small[TierSignal.FAILED] == pytest.approx(2, rel=0.05)
    assert large[TierSignal.ANSWERED] == pytest.approx(2, rel=0.05)
    assert found.cluster == {ClusterSignal.ROUTERS: 1}
    history = found.history["small"]
    assert history.rate[-10:] == pytest.approx([8.0] * 10, rel=0.05)
    assert set(history.concurrency[-10:]) == {15.0, 25.0}, "some minutes have a peak"
    assert set(history.kv_use[-10:]) == {0.5}
    sides = found.sides
    assert sides.until is not None
    assert timedelta(0) <= found.at - sides.until < timedelta(minutes=1)
    assert list(sides.counts[Side("small", False, "ok")][-10:]) == [180.0] * 10
    assert list(sides.counts[Side("small", True, "failed")][-10:]) == [60.0] * 10
