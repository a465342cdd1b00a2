"""Ticks: what each cluster is told, whatever Prometheus answers or does not, and who is reconciled for it."""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import re
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

import pytest

from heterollm_controllers.api.signals import ClusterSignal, PodSignal, TierSignal
from heterollm_controllers.api.v1alpha1.cluster import HeteroLLMClusterSpec
from heterollm_controllers.metrics.readings import Readings
from heterollm_controllers.metrics.side_minutes import Side
from heterollm_operator.kube.store import Key
from heterollm_operator.prometheus import queries
from heterollm_operator.prometheus.client import Prometheus, Rows, Unanswered
from heterollm_operator.prometheus.poller import Poller, Polling
from heterollm_operator.prometheus.queries import HistoryFigure, Name, RawFigure, Selection, SideFigure
from heterollm_operator.runtime.clock import SystemClock
from heterollm_operator.runtime.metrics import Metrics
from tests.shell.fake_prometheus import Answer, dripping, fake_prometheus, row, says, silent, vector
from tests.shell.objects import spec
from tests.shell.virtual import START, VirtualClock

T = TypeVar("T")
A = Key("ns", "c")
B = Key("other", "c")
SELECTION = Selection(60, 15, (), (30_000,))
QUERIES = {**queries.now(SELECTION), **queries.history(SELECTION)}
NAMES: dict[str, Name] = {query.text: name for name, query in QUERIES.items()}


def given(**more: Any) -> HeteroLLMClusterSpec:
    return spec("small", "large", **more)


def engine(key: Key, pod: str, value: object) -> dict[str, Any]:
    """A row of an engine's figure."""
    return row(value, namespace=key.namespace, heterollm_cluster=key.name, pod=pod)


def tier(key: Key, name: str, value: object, **labels: str) -> dict[str, Any]:
    """A row of a tier's figure."""
    place = {"namespace": key.namespace, "heterollm_namespace": key.namespace, "heterollm_cluster": key.name}
    return row(value, None, **{**place, "heterollm_tier": name, **labels})


def request(key: Key, wanted: str, answered: str, code: str, rate: float, **labels: str) -> dict[str, Any]:
    return tier(key, answered, rate, **{"wanted_tier": wanted, "code": code, "diverted": "false", **labels})


class FakeSource:
    """Answers by the figure's name; what it was not told is an empty vector."""

    def __init__(self) -> None:
        self.rows: dict[Name | str, Rows] = {}
        self.errors: dict[Name | str, Exception] = {}
        self.asked: list[Name | str] = []
        self.before: Callable[[], None] = lambda: None

    def ask(self, query: str, seconds: float, take: Callable[[Rows], T]) -> T:
        assert 0 < seconds <= 4
        # Asked apart, a query names the namespaces it is about.
        name = (
            SideFigure.SIDES if "side_total" in query else NAMES.get(re.sub(r',?namespace=~"[^"]*"', "", query), query)
        )
        self.asked.append(name)
        self.before()
        if name in self.errors:
            raise self.errors[name]
        return take(self.rows.get(name, []))

    def ask_minutes(self, query: str, start: datetime, end: datetime, seconds: float, take: Callable[[Rows], T]) -> T:
        assert end - start == timedelta(minutes=119 if "side_total" in query else 59)
        return self.ask(query, seconds, take)


class Bench:
    def __init__(self, source: Any = None, deadline: float = 4.0) -> None:
        self.clock = VirtualClock()
        self.source = FakeSource()
        self.known = {A: given()}
        self.due: Callable[[Key, Readings], bool] = lambda *_: False
        self.added: list[Key] = []
        self.metrics = Metrics()
        self.poller = Poller(
            source or self.source,
            Polling(deadline=deadline),
            lambda: self.known,
            lambda key, readings: self.due(key, readings),
            self.added.append,
            self.metrics,
            self.clock,
        )

    async def tick(self, key: Key = A) -> Readings:
        """One tick; what it learned of the cluster."""
        await self.poller.tick()
        found = self.poller.readings(key)
        assert found is not None
        return found

    def failures(self, reason: str) -> float:
        """Ticks that failed for that reason."""
        return self.metrics.registry.get_sample_value("heterollm_poll_failures_total", {"reason": reason}) or 0.0

    def age(self) -> float | None:
        """Seconds since all queries were answered."""
        return self.metrics.registry.get_sample_value("heterollm_prometheus_age_seconds")


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_every_figure_finds_its_cluster_tier_and_engine(bench: Bench) -> None:
    bench.known[B] = given()
    bench.source.rows = {
        PodSignal.QUEUE: [engine(A, "c-small-0-0", 3), engine(B, "c-small-0-0", 5)],
        PodSignal.AGE: [engine(A, "c-small-0-0", 7.5)],
        TierSignal.REQUEST_P99: [tier(A, "small", 90), tier(B, "small", 10)],
        ClusterSignal.ROUTERS: [tier(A, "", 2)],
    }
    of_a, of_b = await bench.tick(), bench.poller.readings(B)
    assert of_a.pods == {"c-small-0-0": {PodSignal.QUEUE: 3, PodSignal.AGE: 7.5}}
    assert of_a.tiers == {"small": {TierSignal.REQUEST_P99: 90}}
    assert of_a.cluster == {ClusterSignal.ROUTERS: 2}
    assert (of_a.at, of_a.scrape_seconds, of_a.failure) == (START, 15, "")
    assert of_b is not None
    assert of_b.pods == {"c-small-0-0": {PodSignal.QUEUE: 5}}
    assert of_b.tiers == {"small": {TierSignal.REQUEST_P99: 10}}
    assert of_b.cluster == {}


async def test_what_became_of_requests(bench: Bench) -> None:
    bench.source.rows[RawFigure.REQUESTS] = [
        request(A, "small", "small", "200", 10),
        request(A, "small", "large", "200", 2),  # left the tier when it failed
        request(A, "small", "large", "200", 3, diverted="true"),
        request(A, "small", "large", "200", 8, low_quality="true"),  # the tier answered, the next one better
        request(A, "small", "small", "200", 16, low_quality="true"),
        request(A, "small", "small", "200", 0.5, diverted="true"),  # fell back to its own tier
        request(A, "small", "large", "503", 0.25, diverted="true"),
        request(A, "small", "large", "429", 0.25, diverted="true"),
        request(A, "small", "small", "503", 1),
        request(A, "small", "small", "429", 4),
        request(A, "small", "small", "400", 5),
        request(A, "small", "small", "499", 6),
        request(A, "small", "small", "0", 7),
        request(A, "large", "large", "200", 1),
        request(A, "", "", "500", 0.5, diverted=""),
        request(A, "", "large", "200", 0.25, diverted=""),
        request(A, "", "", "404", 0.7, diverted=""),
        request(A, "", "", "503", 0.7, diverted=""),  # the router's memory is full
    ]
    found = await bench.tick()
    assert found.tiers["small"] == {
        TierSignal.OFFERED: 63,
        TierSignal.TRIED: 37,
        TierSignal.FAILED: 3,
        TierSignal.DIVERTED: 3.75,
        TierSignal.DIVERTED_FAILED: 0.75,
        TierSignal.ANSWERED: 26.5,
        TierSignal.SPILLED: 13,
        TierSignal.REFUSED: 4,
    }
    assert found.tiers["large"] == {
        TierSignal.OFFERED: 1,
        TierSignal.TRIED: 1,
        TierSignal.FAILED: 0,
        TierSignal.ANSWERED: 14.25,
        TierSignal.REFUSED: 0.25,
    }
    assert found.cluster == {ClusterSignal.UNDECIDED: 0.75}


async def test_why_a_service_does_not_answer(bench: Bench) -> None:
    found = [("connect", "", 1), ("reset", "", 2), ("", "401", 3), ("", "403", 4), ("", "404", 5), ("", "302", 6)]
    bench.source.rows[RawFigure.UNANSWERED] = [
        tier(A, "far", rate, reason=reason, code=code) for reason, code, rate in found
    ]
    assert (await bench.tick()).tiers["far"] == {
        TierSignal.UNREACHABLE: 3,
        TierSignal.KEY_REFUSED: 7,
        TierSignal.NOT_FOUND: 11,
    }


async def test_without_an_answer_nobody_knows_of_services(bench: Bench) -> None:
    bench.source.errors[RawFigure.UNANSWERED] = Unanswered("timeout", "no answer in time")
    unknown = (await bench.tick()).unanswered
    assert {TierSignal.UNREACHABLE, TierSignal.KEY_REFUSED, TierSignal.NOT_FOUND} <= unknown


async def test_requests_that_fail_wherever_they_are_sent_say_nothing_of_the_tier(bench: Bench) -> None:
    of_one_client = [request(A, "small", "small", "500", 6), request(A, "small", "large", "200", 4)]
    bench.source.rows[RawFigure.REQUESTS] = [request(A, "small", "small", "200", 2), *of_one_client]
    found = (await bench.tick()).tiers["small"]
    assert (found[TierSignal.TRIED], found[TierSignal.FAILED]) == (12, 10)
    bench.source.rows[RawFigure.FAULTY] = [tier(A, "small", 9.5), tier(A, "gone", 1)]
    found = (await bench.tick()).tiers["small"]
    assert (found[TierSignal.TRIED], found[TierSignal.FAILED]) == (2.5, 0.5)
    # They were counted in an earlier window.
    bench.source.rows[RawFigure.FAULTY] = [tier(A, "small", 100)]
    found = (await bench.tick()).tiers["small"]
    assert (found[TierSignal.TRIED], found[TierSignal.FAILED]) == (0, 0)


async def test_without_them_nobody_knows_what_the_tier_failed(bench: Bench) -> None:
    bench.source.rows[RawFigure.REQUESTS] = [request(A, "small", "small", "500", 12)]
    bench.source.errors[RawFigure.FAULTY] = Unanswered("timeout", "no answer in time")
    found = await bench.tick()
    assert found.tiers["small"] == {TierSignal.OFFERED: 12}
    assert found.unanswered == {TierSignal.TRIED, TierSignal.FAILED}


@pytest.mark.parametrize(("code", "failed"), [("500", 1), ("502", 1), ("503", 1), ("504", 1), ("501", 0), ("505", 0)])
async def test_which_errors_are_failures_of_a_tier(bench: Bench, code: str, failed: float) -> None:
    bench.source.rows[RawFigure.REQUESTS] = [request(A, "small", "small", code, 1)]
    found = (await bench.tick()).tiers["small"]
    assert (found.get(TierSignal.TRIED, 0), found.get(TierSignal.FAILED, 0)) == (failed, failed)


async def test_each_cluster_has_its_own_bound_of_slowness(bench: Bench) -> None:
    bench.known[B] = given(fallback={"slowMilliseconds": 1000})
    bounds = Selection(60, 15, (), (1000, 30_000))
    text = queries.now(bounds)[RawFigure.FIRST_BYTE].text
    # Prometheus 3 writes bounds with a fraction.
    edges = {"1000": 2.0, "30000.0": 9.0, "+Inf": 10.0}
    bench.source.rows[text] = [tier(key, "small", rate, le=le) for key in (A, B) for le, rate in edges.items()]
    bench.source.rows[text] += [tier(A, "large", 10.0, le="+Inf")]
    assert (await bench.tick()).tiers == {"small": {TierSignal.SLOW: 1}}, "without its bound, nothing is known"
    of_b = bench.poller.readings(B)
    assert of_b is not None
    assert of_b.tiers == {"small": {TierSignal.SLOW: 8}}


async def test_figures_that_are_no_numbers_are_absent(bench: Bench) -> None:
    bench.source.rows[PodSignal.KV_USE] = [
        engine(A, name, value)
        for name, value in {"a": "NaN", "b": "+Inf", "c": "1e999", "d": "0.5", "e": "-0.1", "f": "1e300"}.items()
    ]
    # A native histogram, which some sums make.
    bench.source.rows[PodSignal.KV_USE] += [{"metric": engine(A, "g", 0)["metric"], "histogram": [0, {"count": "1"}]}]
    assert (await bench.tick()).pods == {"d": {PodSignal.KV_USE: 0.5}}


FORGED = {
    "its own namespace": {"namespace": "mallorys", "heterollm_namespace": "ns"},
    "one that it says is another": {"namespace": "ns", "heterollm_namespace": "mallorys"},
    "none that Prometheus knows": {"heterollm_namespace": "ns"},
    "an exported one": {"namespace": "mallorys", "exported_namespace": "ns"},
}


@pytest.mark.parametrize("name", [name for name in NAMES.values() if name != PodSignal.GPU_USE])
async def test_nobody_speaks_for_another_namespace(bench: Bench, name: Name) -> None:
    place = {"pod": "c-small-0-0", "heterollm_tier": "small", "wanted_tier": "small", "code": "200"}

    async def told(**owner: str) -> Readings:
        """What a tick learns when a pod of this owner is all there is."""
        edges = ("30000", "+Inf") if name == RawFigure.FIRST_BYTE else ("",)
        own = {**place, "diverted": "false", "heterollm_cluster": A.name, **owner}
        found = [row(900, None, **{**own, "le": edge}) for edge in edges]
        bench.source.rows[name] = [{**item, "values": [item["value"]]} for item in found]
        bench.clock.now += 60
        return replace(await bench.tick(), at=START)

    if name == RawFigure.FAULTY:
        # They are taken off others.
        bench.source.rows[RawFigure.REQUESTS] = [request(A, "small", "small", "500", 1000)]
    nothing = replace(await bench.tick(), at=START)
    for said, labels in FORGED.items():
        assert await told(**labels) == nothing, said
    assert await told(namespace="ns", heterollm_namespace="ns") != nothing


async def test_own_queries_do_not_speak_for_others_either(bench: Bench) -> None:
    bench.known = {A: given(observability={"queries": {"queue": "q"}})}
    bench.source.rows["q"] = [
        row(1, pod="a", heterollm_namespace="other"),
        row(2, pod="b", heterollm_cluster="other"),
        row(3, pod="c", heterollm_cluster="c", heterollm_namespace="ns"),
        row(4, pod="d"),
    ]
    assert (await bench.tick()).pods == {"c": {PodSignal.QUEUE: 3}, "d": {PodSignal.QUEUE: 4}}


async def test_figures_of_clusters_that_are_not_there_are_dropped(bench: Bench) -> None:
    bench.source.rows[PodSignal.QUEUE] = [engine(B, "c-small-0-0", 1)]
    await bench.tick()
    assert bench.poller.readings(B) is None


async def test_without_clusters_nothing_is_asked(bench: Bench) -> None:
    await bench.tick()
    bench.known.clear()
    bench.source.asked.clear()
    await bench.poller.tick()
    assert bench.source.asked == []
    assert bench.poller.readings(A) is None


async def test_the_number_of_queries_does_not_depend_on_clusters(bench: Bench) -> None:
    await bench.tick()
    alone = sorted(bench.source.asked)
    bench.known |= {Key("ns", f"c{number}"): given() for number in range(200)}
    bench.clock.now = 60
    bench.source.asked.clear()
    await bench.tick()
    assert sorted(bench.source.asked) == alone
    assert len(alone) == len(NAMES) == 22


async def test_history_is_asked_once_a_minute_and_kept(bench: Bench) -> None:
    start = START.timestamp()
    series = [[start - 3540, "1"], [start - 60, "NaN"], [start, "4"], [start + 3600, "9"]]
    place = tier(A, "small", 0)["metric"]
    bench.source.rows = {
        HistoryFigure.RATE: [{"metric": place, "values": series}],
        HistoryFigure.CONCURRENCY: [{"metric": place, "values": [[start - 60, "8"]]}],
    }
    bench.clock.now = 3.0
    history = (await bench.tick()).history["small"]
    assert len(history.rate) == 60
    assert (history.rate[0], history.rate[-1]) == (1, 4)
    assert all(math.isnan(value) for value in history.rate[1:-1])
    assert (history.concurrency[-2], history.kv_use) == (8, ())
    for second, asked in ((8, 0), (59, 0), (60, 1), (65, 0)):
        bench.source.asked.clear()
        bench.clock.now = second
        assert (await bench.tick()).history != {}
        assert bench.source.asked.count(HistoryFigure.RATE) == asked


async def test_sides_are_known_with_their_minute_and_not_handed_on_as_those_of_another(bench: Bench) -> None:
    def side(*values: list[Any], **labels: str) -> dict[str, Any]:
        return {"metric": tier(A, "small", 0, wanted_tier="small", **labels)["metric"], "values": list(values)}

    bench.known = {A: given(migration={})}
    start = START.timestamp()
    bench.source.rows[SideFigure.SIDES] = [
        side([start - 60, "NaN"], [start, "4"], diverted="false", outcome="ok"),
        side([start - 60, "7"], [start, "-4"], diverted="true", outcome="failed"),
        side([start, "1"], diverted="true", outcome="forged"),
        side([start, "1"], diverted="maybe", outcome="ok"),
    ]
    bench.clock.now = 3.0
    sides = (await bench.tick()).sides
    ok, failed = Side("small", False, "ok"), Side("small", True, "failed")
    assert (sides.until, {*sides.counts}) == (START, {ok, failed})
    assert len(sides.counts[ok]) == len(sides.counts[failed]) == 120
    assert sides.counts[ok][-1] == 4
    assert math.isnan(sides.counts[ok][-2])
    assert sides.counts[failed][-2] == 7
    assert math.isnan(sides.counts[failed][-1])
    bench.source.errors[SideFigure.SIDES] = Unanswered("timeout", "no answer in time")
    bench.clock.now = 63.0
    found = await bench.tick()
    assert (found.sides.until, "sides" in found.failure) == (START, True)
    del bench.source.errors[SideFigure.SIDES]
    bench.clock.now = 123.0
    assert (await bench.tick()).sides.until == START + timedelta(minutes=2)
    bench.known = {A: given()}
    bench.source.asked.clear()
    bench.clock.now = 183.0
    await bench.tick()
    assert SideFigure.SIDES not in bench.source.asked


async def test_history_that_cannot_be_renewed_is_forgotten_after_a_while(bench: Bench) -> None:
    bench.source.rows[HistoryFigure.RATE] = [{"metric": tier(A, "small", 0)["metric"], "values": []}]
    await bench.tick()
    bench.source.errors = {name: Unanswered("timeout", "no answer in time") for name in HistoryFigure}
    for second, kept in ((60, True), (180, True), (240, False)):
        bench.clock.now = second
        assert ("small" in (await bench.tick()).history) == kept


async def test_one_query_that_fails_leaves_the_others(bench: Bench) -> None:
    bench.source.rows[PodSignal.QUEUE] = [engine(A, "a", 1)]
    bench.source.errors[TierSignal.REQUEST_P50] = Unanswered("timeout", "no answer in time")
    found = await bench.tick()
    assert found.pods == {"a": {PodSignal.QUEUE: 1}}
    assert found.failure == "Prometheus: no answer in time (requestP50)"
    assert found.unanswered == {TierSignal.REQUEST_P50}
    assert bench.failures("timeout") == 1


async def test_what_was_known_holds_through_a_tick_that_fails_but_not_through_an_outage(bench: Bench) -> None:
    bench.source.rows[PodSignal.QUEUE] = [engine(A, "a", 1)]
    bench.source.rows[PodSignal.RUNNING] = [engine(A, "a", 2)]
    good = await bench.tick()
    bench.source.errors[PodSignal.QUEUE] = Unanswered("timeout", "no answer in time")
    for second in (5, 30):
        bench.clock.now = second
        bench.source.rows[PodSignal.RUNNING] = [engine(A, "a", second)]
        held = await bench.tick()
        assert held.pods == {"a": {PodSignal.QUEUE: 1, PodSignal.RUNNING: second}}, "only what failed is of before"
        assert (held.failure, held.unanswered) == (good.failure, good.unanswered)
    bench.clock.now = 31
    gone = await bench.tick()
    assert gone.pods == {"a": {PodSignal.RUNNING: 30}}
    assert gone.failure == "Prometheus: no answer in time (queue)"
    assert gone.unanswered == {PodSignal.QUEUE}


async def test_gpu_use_is_optional(bench: Bench) -> None:
    bench.source.errors[PodSignal.GPU_USE] = Unanswered("refused", "many-to-many matching not allowed")
    assert (await bench.tick()).failure == ""


async def test_a_row_that_is_none_is_a_failure_of_its_query_alone(bench: Bench) -> None:
    bench.source.rows = {PodSignal.QUEUE: [engine(A, "a", 1)], PodSignal.RUNNING: []}
    bench.source.rows[PodSignal.RUNNING] = [{**engine(A, "a", 1), "value": []}, engine(A, "a", 1)]
    bench.source.rows[PodSignal.AGE] = [{"metric": {"namespace": [], "heterollm_cluster": {}}, "value": [0, "1"]}]
    found = await bench.tick()
    assert found.pods == {"a": {PodSignal.QUEUE: 1}}
    assert "a row of the answer is none" in found.failure


async def test_a_defect_ends_no_poller(bench: Bench) -> None:
    bench.source.errors[PodSignal.QUEUE] = ZeroDivisionError("of ours")
    assert "of ours" in (await bench.tick()).failure
    assert bench.failures("defect") == 1


async def test_own_queries_take_the_place_of_ours_for_their_cluster_alone(bench: Bench) -> None:
    own = {
        "queue": 'sum by (pod) (q{ns="$namespace",c="$cluster"})',
        "tried": "sum by (heterollm_tier) (rate(t[$window]))",
        "kvUse": "broken(",
        "routers": "vector(3)",
    }
    bench.known = {key: given(observability={"queries": own}) for key in (A, B)}
    bench.known[Key("ns", "plain")] = given()
    bench.source.rows = {
        PodSignal.QUEUE: [engine(A, "a", 1), engine(Key("ns", "plain"), "p", 2)],
        PodSignal.KV_USE: [engine(A, "a", 0.5)],
        RawFigure.REQUESTS: [request(A, "small", "small", "200", 10)],
        'sum by (pod) (q{ns="ns",c="c"})': [row(11, pod="a"), row(1)],
        'sum by (pod) (q{ns="other",c="c"})': [row(22, pod="b")],
        "sum by (heterollm_tier) (rate(t[60s]))": [row(5, heterollm_tier="small")],
        "vector(3)": [row(3), tier(B, "", 9)],
    }
    bench.source.errors["broken("] = Unanswered("refused", "parse error")
    found, other = await bench.tick(), bench.poller.readings(B)
    assert found.pods == {"a": {PodSignal.QUEUE: 11}}
    assert found.tiers["small"][TierSignal.TRIED] == 5
    assert found.tiers["small"][TierSignal.OFFERED] == 10
    assert found.cluster[ClusterSignal.ROUTERS] == 3
    assert found.failure == "the query for kvUse: parse error"
    assert other is not None
    assert other.pods == {"b": {PodSignal.QUEUE: 22}}
    assert other.tiers == {"small": {TierSignal.TRIED: 5}}
    plain = bench.poller.readings(Key("ns", "plain"))
    assert plain is not None
    assert (plain.pods, plain.failure) == ({"p": {PodSignal.QUEUE: 2}}, "")
    assert bench.source.asked.count("sum by (heterollm_tier) (rate(t[60s]))") == 1
    assert bench.failures("refused") == 0, "only Prometheus's own failures are counted"


async def test_those_whose_figures_matter_are_reconciled(bench: Bench) -> None:
    bench.known |= {Key("ns", f"c{number}"): given() for number in range(120)}
    bench.due = lambda key, readings: key.name in ("c7", "c119") and readings.at == START
    await bench.tick()
    assert sorted(bench.added) == [Key("ns", "c119"), Key("ns", "c7")]


async def test_a_tick_ends_at_its_deadline_and_hung_calls_do_not_pile_up() -> None:
    bench = Bench(deadline=0.05)
    release = threading.Event()

    def hang() -> None:
        release.wait(10)

    bench.source.before = hang
    before = threading.active_count()
    try:
        for _ in range(3):
            found = await bench.tick()
            assert found.failure == "Prometheus: no answer in time"
            assert found.pods == {}
            bench.clock.now += 5
        hung = [thread for thread in threading.enumerate() if thread.name == "blocking call"]
        assert len(hung) == 4
        assert threading.active_count() <= before + 4 + 2, "besides, asyncio's own"
    finally:
        release.set()
    for thread in hung:
        thread.join(10)
    bench.source.before = lambda: None
    # The deadline is short, and threads take their time on a busy machine.
    for _ in range(50):
        if not (await bench.tick()).failure:
            return
    raise AssertionError("it does not recover with Prometheus")


async def test_ticks_follow_each_other_without_overlap(bench: Bench) -> None:
    under_way = 0
    most = 0

    def due(*_: object) -> bool:
        nonlocal most
        most = max(most, under_way)
        return False

    bench.due = due
    starts: list[float] = []
    tick = bench.poller.tick

    async def counted() -> None:
        nonlocal under_way
        under_way += 1
        starts.append(bench.clock.now)
        await tick()
        # The first one takes 7 seconds, longer than the time between two.
        if len(starts) == 1:
            await bench.clock.sleep(7)
        under_way -= 1

    bench.poller.tick = counted  # type: ignore[method-assign]
    task = asyncio.create_task(bench.poller.run())
    while len(starts) < 4:
        await bench.clock.advance(0.5)
        await asyncio.sleep(0.001)  # for the threads
    task.cancel()
    assert most == 1
    assert starts[:2] == [0, 7]
    assert all(later - earlier >= 5 for earlier, later in itertools.pairwise(starts))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (says("<html>", 502), "http"),
        (says("<html>"), "malformed"),
        (silent, "timeout"),
        (dripping, "timeout"),
        (says({"status": "error", "error": "out of memory"}, 500), "refused"),
        (says(vector(row(1, at=0.0))), "old"),
        (says(vector({"metric": 1, "value": [1e12, "1"]})), "malformed"),
    ],
)
async def test_whatever_prometheus_does_the_tick_says_that_there_are_no_figures(answer: Answer, reason: str) -> None:
    async with fake_prometheus() as fake:
        fake.answer = answer
        bench = Bench(Prometheus(fake.url, VirtualClock().utc), deadline=0.3)
        found = await bench.tick()
        assert found.failure.startswith("Prometheus: ")
        assert (found.pods, found.tiers, found.cluster, found.history) == ({}, {}, {}, {})
        assert found.at == START
        assert bench.failures(reason) == 1
        fake.answer = says(vector())
        for _ in range(20):
            if not (await bench.tick()).failure:
                break
        assert bench.poller.readings(A) == Readings(START), "it recovers with Prometheus"


async def test_how_long_ago_prometheus_answered(bench: Bench) -> None:
    age = bench.age()
    assert age is not None
    assert math.isnan(age), "it is not asked: another replica leads"
    looks: list[float | None] = []

    def due(*_: object) -> bool:
        looks.append(bench.age())
        bench.source.errors = {PodSignal.QUEUE: Unanswered("timeout", "no answer in time")}
        return False

    bench.due = due
    task = asyncio.create_task(bench.poller.run())
    while len(looks) < 3:
        await bench.clock.advance(0.5)
        await asyncio.sleep(0.001)  # for the threads
    task.cancel()
    assert looks[0] == 0
    assert 5 <= (looks[1] or 0) < (looks[2] or 0)


async def test_an_outage_is_logged_when_it_begins_and_when_it_ends(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.source.errors[PodSignal.QUEUE] = Unanswered("timeout", "no answer in time")
    with caplog.at_level(logging.INFO, "heterollm_operator.prometheus.poller"):
        for _ in range(3):
            await bench.tick()
        bench.source.errors.clear()
        for _ in range(3):
            await bench.tick()
    told = [record.message for record in caplog.records if "asked apart" not in record.message]
    assert told == ["Prometheus: no answer in time", "Prometheus answers again"]


async def test_slow_own_queries_keep_nothing_else_from_being_asked() -> None:
    """Neither the history nor another namespace's own queries, though four of them fill all the threads."""
    bench = Bench(deadline=2.5)
    slow = {f"slow{number}": "x" for number in range(30)}
    bench.known = {Key("greedy", name): given(observability={"queries": {"queue": name}}) for name in slow}
    bench.known[Key("modest", "c")] = given(observability={"queries": {"queue": "quick"}})
    asked: list[tuple[str, float]] = []

    class Slow(FakeSource):
        def ask(self, query: str, seconds: float, take: Callable[[Rows], T]) -> T:
            if query.startswith("slow"):
                asked.append((query, seconds))
                time.sleep(min(seconds, 1.0))
                raise Unanswered("timeout", "no answer in time")
            return super().ask(query, seconds, take)

    bench.source = Slow()
    bench.source.rows["quick"] = [row(7, pod="p")]
    bench.source.rows[HistoryFigure.RATE] = [{"metric": tier(Key("modest", "c"), "small", 0)["metric"], "values": []}]
    bench.poller = Poller(
        bench.source,
        Polling(deadline=2.5),
        lambda: bench.known,
        lambda *_: False,
        bench.added.append,
        bench.metrics,
        SystemClock(),
    )
    await bench.poller.tick()
    found = bench.poller.readings(Key("modest", "c"))
    assert found is not None
    assert found.failure == ""
    assert found.pods == {"p": {PodSignal.QUEUE: 7}}
    assert "small" in found.history
    assert asked, "slow ones are asked, too"
    assert max(seconds for _, seconds in asked) <= 1, "a second each"
