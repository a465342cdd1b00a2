"""Figures for people from a real Prometheus, which may know them, know nothing, or be away."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from heterollm_controllers.view.figures import ClusterFigures
from heterollm_operator.kube.store import Key
from heterollm_operator.prometheus.client import Prometheus
from heterollm_operator.prometheus.seen_figures import figures_now, last_hour
from tests.shell.prometheus_tools import needs, prometheus

pytestmark = needs("prometheus", "promtool")

A, B, UNKNOWN = Key("ns", "c"), Key("other", "c"), Key("ns", "nothing")
EVERY, HOUR = 15, 3600
REQUEST = 'attempts="1",decision="score",low_quality="",diverted="false",wanted_tier="small"'


def written(now: int) -> Iterator[str]:
    """Half an hour of scrapes, in OpenMetrics: gauges as they are, counters as what they count in a second."""
    times = range(now - 5 - HOUR // 2, now - 4, EVERY)
    router = 'namespace="{0}",heterollm_namespace="{0}",heterollm_cluster="c",job="pods",instance="r",pod="c-router-0"'
    requests = [
        (router.format("ns") + f',{REQUEST},heterollm_tier="small",code="200"', 30.0),
        (router.format("ns") + f',{REQUEST},heterollm_tier="large",code="200"', 8.0),
        (router.format("ns") + f',{REQUEST},heterollm_tier="large",code="503"', 1.0),
        (router.format("ns") + f',{REQUEST},heterollm_tier="small",code="429"', 1.0),
        (router.format("other") + f',{REQUEST},heterollm_tier="small",code="200"', 2.0),
        # A pod of one namespace that speaks of another's cluster.
        (
            router.format("other").replace('heterollm_namespace="other"', 'heterollm_namespace="ns"') + f",{REQUEST},"
            'heterollm_tier="small",code="500"',
            1000.0,
        ),
    ]
    yield from family("heterollm_router_requests_total", requests, times, counter=True)
    buckets = [
        (router.format("ns") + f',heterollm_tier="small",decision="score",low_quality="",le="{le}"', rate)
        for le, rate in (("10", 0.0), ("50", 20.0), ("250", 40.0), ("+Inf", 40.0))
    ]
    yield from family("heterollm_router_first_byte_milliseconds_bucket", buckets, times, counter=True)
    engine = 'namespace="ns",heterollm_cluster="c",heterollm_namespace="ns",heterollm_tier="small",tp_rank="{1}"'
    queue = [
        (engine.format("", rank) + f',pod="c-small-{number}-0",job="pods",instance="{number}-{rank}"', waits)
        for number, waits in ((0, 4.0), (1, 3.0))
        for rank in (0, 1)
    ]
    yield from family("sglang:num_queue_reqs", queue, times)
    cluster = 'heterollm_namespace="ns",heterollm_cluster="c"'
    recorded = {
        "heterollm:dollars_per_hour:sum": 131.7,
        "heterollm:dollars:rate1h": 0.02,
        "heterollm:counterfactual_dollars:rate1h": 0.05,
        "heterollm:counterfactual_engines:rate1h": 3.0,
    }
    for name, value in recorded.items():
        # The second claims to be recorded of another's cluster, and is a pod's.
        forged = f'namespace="other",pod="liar",{cluster}'
        yield from family(name, [(cluster, value), (forged, 9999.0)], times)
    price = [(f'{cluster},heterollm_tier="{tier}"', value) for tier, value in (("small", 3.7), ("large", 128.0))]
    yield from family("heterollm_tier:dollars_per_hour:max", price, times)
    yield "# EOF"


def family(name: str, series: list[tuple[str, float]], times: range, *, counter: bool = False) -> Iterator[str]:
    yield f"# TYPE {name} {'unknown' if counter else 'gauge'}"
    for labels, value in series:
        for number, at in enumerate(times):
            yield f"{name}{{{labels}}} {value * number * EVERY if counter else value} {at}"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    text = "\n".join(written(int(time.time()))) + "\n"
    with prometheus(tmp_path_factory.mktemp("prometheus"), text) as url:
        yield Prometheus(url, lambda: datetime.now(UTC))


def test_figures_of_clusters(source: Prometheus) -> None:
    seen = figures_now(source, (), [A, B, UNKNOWN])
    assert seen.problem == ""
    found = seen.figures[A]
    assert found.requests_per_second == pytest.approx(40, rel=0.02)
    assert found.failed_share == pytest.approx(1 / 40)
    assert found.refused_share == pytest.approx(1 / 40)
    assert found.first_byte_p50_ms == pytest.approx(50)
    assert found.first_byte_p99_ms == pytest.approx(246)
    assert (found.dollars_per_hour, found.engines_otherwise) == (131.7, 3)
    assert found.hourly_dollars == pytest.approx(72)
    assert found.hourly_dollars_otherwise == pytest.approx(180)
    assert found.dollars_per_request is None, "nobody recorded it"
    small, large = found.tiers["small"], found.tiers["large"]
    assert small.answers_per_second == pytest.approx(30, rel=0.02)
    assert large.answers_per_second == pytest.approx(8, rel=0.02)
    assert (small.waiting, large.waiting) == (7, None), "ranks of an engine tell of the same requests"
    assert (small.dollars_per_hour, large.dollars_per_hour) == (3.7, 128)
    assert seen.figures[B].requests_per_second == pytest.approx(2, rel=0.02)
    assert seen.figures[UNKNOWN] == ClusterFigures()


def test_a_namespace_is_asked_about_alone(source: Prometheus) -> None:
    seen = figures_now(source, ("other",), [A, B])
    assert seen.figures[A] == ClusterFigures()
    assert seen.figures[B].requests_per_second == pytest.approx(2, rel=0.02)


def test_the_last_hour(source: Prometheus) -> None:
    seen = last_hour(source, A, datetime.now(UTC))
    assert seen.problem == ""
    charts = {chart.title: chart for chart in seen.charts}
    assert list(charts) == ["Answers", "Waiting requests", "Time to first byte", "Cost"]
    answers = {series.label: series.values for series in charts["Answers"].series}
    assert list(answers) == ["large", "small"]
    assert all(len(values) == 60 for values in answers.values())
    assert answers["small"][0] is None, "nobody knows the first half hour"
    assert answers["small"][-5] == pytest.approx(30, rel=0.02)
    quantiles = {series.label: series.values for series in charts["Time to first byte"].series}
    assert quantiles["p99"][-5] == pytest.approx(246)
    assert {series.values[-5] for series in charts["Cost"].series} == {3.7, 128}
    assert last_hour(source, UNKNOWN, datetime.now(UTC)).charts == ()


def test_a_prometheus_that_is_away_is_a_problem_and_no_figures() -> None:
    source = Prometheus("http://127.0.0.1:9", lambda: datetime.now(UTC))
    seen = last_hour(source, A, datetime.now(UTC))
    assert "refused" in seen.problem
    assert seen.figures[A] == ClusterFigures()
    assert seen.charts == ()


def test_one_that_never_answers_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        source = Prometheus(f"http://127.0.0.1:{silent.getsockname()[1]}", lambda: datetime.now(UTC))
        began = time.monotonic()
        assert figures_now(source, (), [A]).problem == "no answer in time"
        assert time.monotonic() - began < 6
