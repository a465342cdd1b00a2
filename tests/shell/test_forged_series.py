"""Whatever a neighbour's pods expose, the metrics of other namespaces' clusters stay the same. On a real Prometheus."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from heterollm_controllers.api.signals import PodSignal, TierSignal
from heterollm_controllers.api.vocabulary import Reason
from heterollm_controllers.metrics.readings import Readings
from heterollm_controllers.observation.tier_state import EngineState, TierState
from heterollm_controllers.reconcile.control_loop import steer
from heterollm_controllers.reconcile.control_state import ControlState
from heterollm_operator.kube.store import Key
from heterollm_operator.prometheus.client import Prometheus
from heterollm_operator.prometheus.poller import Poller, Polling
from heterollm_operator.runtime.clock import SystemClock
from heterollm_operator.runtime.metrics import Metrics
from tests.shell.objects import spec
from tests.shell.prometheus_tools import needs, prometheus

pytestmark = needs("prometheus", "promtool")

VICTIM = Key("ns", "c")
SPEC = spec("small", "large", fallback={"failedPercent": 10})
EVERY, MINUTES = 15, 5
POD, ROUTER = "c-small-0-0", "c-router-1"

Values = Callable[[int], float]
Series = tuple[str, dict[str, str], Values]


def series(metric: str, namespace: str, pod: str, value: float | Values, **labels: str) -> Series:
    """A series of a pod: Prometheus's own labels of it, then what the pod says."""
    target = {"job": "pods", "instance": f"{namespace}-{pod}:1", "namespace": namespace, "pod": pod}
    claims = {"heterollm_namespace": namespace, "heterollm_cluster": "c"}
    found = {**target, **claims, **labels}
    return metric, {key: text for key, text in found.items() if text}, value if callable(value) else lambda _: value


def rate(per_second: float) -> Values:
    return lambda number: per_second * EVERY * number


def healthy(namespace: str) -> list[Series]:
    """A cluster of which everything is known: a fifth of small's requests fail."""
    request = {"wanted_tier": "small", "diverted": "false", "attempts": "1", "decision": "score"}
    small = {"heterollm_tier": "small"}
    found = [
        series("sglang:num_queue_reqs", namespace, POD, 5, tp_rank="0", **small),
        series("sglang:num_running_reqs", namespace, POD, 10, tp_rank="0", **small),
        series("sglang:token_usage", namespace, POD, 0.5, tp_rank="0", **small),
        series("sglang:time_to_first_token_seconds_sum", namespace, POD, rate(2), is_streaming="true", **small),
        series("sglang:time_to_first_token_seconds_count", namespace, POD, rate(8), is_streaming="true", **small),
        series("sglang:inter_token_latency_seconds_sum", namespace, POD, rate(3), **small),
        series("sglang:inter_token_latency_seconds_count", namespace, POD, rate(150), **small),
        series("DCGM_FI_DEV_GPU_UTIL", namespace, POD, 75, gpu="0", heterollm_cluster="", heterollm_namespace=""),
        series("heterollm_router_envoy_up", namespace, ROUTER, 1),
        series("heterollm_router_policy_version", namespace, ROUTER, 0, state="refused"),
        series("heterollm_router_failed_attempts_total", namespace, ROUTER, rate(1), reason="error", **small),
        series("heterollm_router_bad_answers_total", namespace, ROUTER, rate(1), **small),
        series(EJECTIONS, namespace, ROUTER, 1, envoy_cluster_name="tier_small"),
    ]
    for code, tier, each in (("200", "small", 80), ("200", "large", 20), ("429", "small", 5)):
        told = {**request, "code": code, "heterollm_tier": tier}
        found.append(series("heterollm_router_requests_total", namespace, ROUTER, rate(each), **told))
    for histogram in ("first_byte", "request"):
        for le, each in (("500", 8), ("30000", 9), ("+Inf", 10)):
            name = f"heterollm_router_{histogram}_milliseconds_bucket"
            found.append(series(name, namespace, ROUTER, rate(each), le=le, decision="score", **small))
    return found


EJECTIONS = "envoy_cluster_outlier_detection_ejections_active"
GAUGES = ("sglang:num_queue_reqs", "sglang:num_running_reqs", "sglang:token_usage")
COUNTERS = (
    *(f"sglang:{name}_{part}" for name in ("time_to_first_token_seconds", "inter_token_latency_seconds")
      for part in ("sum", "count")),
    *(f"heterollm_router_{name}_total" for name in ("requests", "failed_attempts", "bad_answers")),
)  # fmt: skip
BUCKETS = tuple(f"heterollm_router_{name}_milliseconds_bucket" for name in ("first_byte", "request"))
ROUTERS = ("heterollm_router_envoy_up", "heterollm_router_policy_version")
EVERYTHING = (*GAUGES, *COUNTERS, *BUCKETS, *ROUTERS, EJECTIONS)
COMMON = {
    "heterollm_tier": "small",
    "state": "refused",
    "envoy_cluster_name": "tier_small",
    "le": "30000",
    "code": "503",
}
WANTED = {"wanted_tier": "small", "diverted": "false"}


def twice(namespace: str, **labels: Sequence[str]) -> list[Series]:
    """Of everything two series that differ in these labels alone."""
    found = []
    for name in EVERYTHING:
        for values in zip(*labels.values(), strict=True):
            more = {**COMMON, **WANTED, **dict(zip(labels, values, strict=True))}
            pod = more.pop("pod", POD)
            found.append(series(name, namespace, pod, rate(1000), **more))
    return found


def tiers_of_one_envoy_cluster(namespace: str) -> list[Series]:
    return [series(EJECTIONS, namespace, ROUTER, 9, envoy_cluster_name="tier_small", heterollm_tier=t) for t in "ab"]


def pods_at_one_address(namespace: str) -> list[Series]:
    """Two pods of a node's network: but for the pod they have the same labels."""
    return twice(namespace, pod=[POD, "c-small-0-1"], instance=["10.0.0.1:1"] * 2)


def an_extra_label(namespace: str) -> list[Series]:
    return twice(namespace, leader=["x", "y"]) + twice(namespace, exported_pod=["x", "y"], engine=["x", "y"])


def two_clusters_at_once(namespace: str) -> list[Series]:
    found = twice(namespace, heterollm_cluster=["c", "d"], dp_rank=["0", "1"])
    return [*found, series("DCGM_FI_DEV_GPU_UTIL", namespace, POD, 1, gpu="0")]


def claims_to_be_the_victims(namespace: str) -> list[Series]:
    """As the victim's own pods, in everything that a pod says itself."""
    said = {"heterollm_namespace": "ns", "exported_namespace": "ns", "exported_pod": POD, "exported_instance": "i"}
    return twice(namespace, **{key: [value] for key, value in said.items()})


def gpus_of_the_victim(namespace: str) -> list[Series]:
    said = {"exported_namespace": "ns", "exported_pod": POD, "heterollm_cluster": "", "heterollm_namespace": ""}
    return [series("DCGM_FI_DEV_GPU_UTIL", namespace, "evil-0", 1, gpu=gpu, **said) for gpu in "01"]


def the_victims_address(namespace: str) -> list[Series]:
    """An instance of the same name, as where a scrape configuration makes pods' names of them."""
    return twice(namespace, pod=[ROUTER], instance=[f"ns-{ROUTER}:1"])


def no_namespace(_: str) -> list[Series]:
    """Scraped by a job that does not say where a target is: the pod's word would be all there is."""
    more = {**COMMON, **WANTED, "heterollm_namespace": "ns"}
    found = [series(name, "nowhere", pod, rate(1000), **more) for name in EVERYTHING for pod in (POD, ROUTER)]
    for one in found:
        del one[1]["namespace"]
    return found


def odd_bounds(namespace: str) -> list[Series]:
    bounds = ("abc", "NaN", "-Inf", "1e999", "1", "1.0", "0x1p-2", "30000", "30000.0", "+Inf", "Inf")
    return [
        series(name, namespace, ROUTER, rate(1000 - 100 * number), **{**COMMON, **WANTED, "le": bound})
        for name in BUCKETS
        for number, bound in enumerate(bounds)
    ]


def odd_values(namespace: str) -> list[Series]:
    def now_and_then(value: float) -> Values:
        return lambda number: value if number % 2 else 1

    found = []
    for name in EVERYTHING:
        for index, value in enumerate((math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324)):
            pod = f"c-small-{index}-0"
            found.append(series(name, namespace, pod, value, **{**COMMON, **WANTED}))
            found.append(series(name, namespace, pod, now_and_then(value), **{**COMMON, "reason": "r"}))
    return found


def odd_words(namespace: str) -> list[Series]:
    words = ("\\\\", "\\n", '\\"', "é\u202e", "$1", "a|b", "-0", "x" * 5000)
    labels = (
        "heterollm_tier",
        "wanted_tier",
        "code",
        "diverted",
        "dp_rank",
        "is_streaming",
        "priority",
        "reason",
        "le",
    )
    return [
        series(name, namespace, ROUTER, rate(1), **{**COMMON, **WANTED, label: word})
        for name in EVERYTHING
        for label in labels
        for word in words
    ]


def other_kinds_of_metrics(namespace: str) -> list[Series]:
    """Gauges that fall where counters are expected, and counters where gauges are."""
    falls: Values = lambda number: 1e6 - 1000 * number  # noqa: E731
    return [series(name, namespace, ROUTER, falls, **{**COMMON, **WANTED}) for name in EVERYTHING]


KINDS = (
    tiers_of_one_envoy_cluster,
    pods_at_one_address,
    an_extra_label,
    two_clusters_at_once,
    claims_to_be_the_victims,
    gpus_of_the_victim,
    the_victims_address,
    no_namespace,
    odd_bounds,
    odd_values,
    odd_words,
    other_kinds_of_metrics,
)


def namespace_of(kind: Callable[[str], list[Series]]) -> str:
    return kind.__name__.replace("_", "-")


def many(namespace: str, count: int) -> list[Series]:
    """A thousand values of a label."""
    more = {**COMMON, **WANTED}
    found = [series(name, namespace, POD, rate(1), **more | {"heterollm_tier": f"t{n}"})
             for name in EVERYTHING for n in range(count)]  # fmt: skip
    return found + [series(EJECTIONS, namespace, POD, 1, envoy_cluster_name=f"tier_{n}") for n in range(count)]


def written(all_series: Sequence[Series]) -> str:
    """In OpenMetrics, and on into the future, for as long as these tests may take."""
    now = int(time.time())
    times = range(now - 60 * MINUTES, now + 60 * MINUTES, EVERY)
    families: dict[str, list[str]] = {}
    for name, labels, value in all_series:
        told = ",".join(f'{key}="{text}"' for key, text in labels.items())
        lines = families.setdefault(name, [f"# TYPE {name} unknown"])
        lines += [f"{name}{{{told}}} {value(number)} {at}" for number, at in enumerate(times)]
    return "\n".join(line for lines in families.values() for line in lines) + "\n# EOF\n"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """All kinds of forgery at once, each in a namespace of its own, and four innocent namespaces."""
    every = [item for name in ("ns", "ns2", "ns3", "ns4") for item in healthy(name)]
    for kind in KINDS:
        every += kind(namespace_of(kind))
    every += many("many", 200)
    with prometheus(tmp_path_factory.mktemp("forged"), written(every)) as address:
        yield address


def poller(
    url: str, namespaces: Sequence[str], known: Sequence[str], largest: int = 2**24, clock: Any = None
) -> Poller:
    clusters = {Key(name, "c"): SPEC for name in known}
    source = Prometheus(url, SystemClock().utc, largest=largest)
    polling = Polling(namespaces=tuple(namespaces))
    return Poller(
        source, polling, lambda: clusters, lambda *_: False, lambda _: None, Metrics(), clock or SystemClock()
    )


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Readings:
    """What the victim is told where nobody forges anything."""
    with prometheus(tmp_path_factory.mktemp("clean"), written(healthy("ns"))) as address:
        return asyncio.run(told(address, [], ["ns"]))


async def told(url: str, namespaces: Sequence[str], known: Sequence[str]) -> Readings:
    """What the victim is told by one tick."""
    asked = poller(url, namespaces, known)
    await asked.tick()
    found = asked.readings(VICTIM)
    assert found is not None
    return found


def decisions(found: Readings) -> list[str]:
    """What is decided from that: a fifth of the requests fails, which is too many."""
    engines = [(name, EngineState(f"c-{name}-0", f"c-{name}-0-0", True)) for name in ("small", "large")]
    tiers = [TierState(name, (engine,), concurrency=10, rate=10.0) for name, engine in engines]
    return [item.action for item in steer(SPEC, tiers, ControlState(), found, datetime.now(UTC)).decisions]


def same(found: Readings, clean: Readings) -> None:
    """The same metrics, but for the moment at which they were asked for."""
    assert found.failure == clean.failure == ""
    assert {pod: set(metrics) for pod, metrics in found.pods.items()} == {POD: set(PodSignal)}
    about = partial(pytest.approx, rel=0.05, abs=0.001, nan_ok=True)
    assert {**found.pods[POD], PodSignal.AGE: 0} == about({**clean.pods[POD], PodSignal.AGE: 0})
    assert found.tiers.keys() == clean.tiers.keys() == {"small", "large"}
    for tier, metrics in found.tiers.items():
        assert metrics == about(dict(clean.tiers[tier])), tier
    assert found.cluster == clean.cluster
    for tier, minutes in found.history.items():
        for name in ("rate", "concurrency", "kv_use"):
            # The last ones: since the first tick, a minute may have begun.
            expected = getattr(clean.history[tier], name)[-2:]
            assert getattr(minutes, name)[-2:] == about(expected)
    assert Reason.TIER_ESCALATED in decisions(found)
    assert decisions(found) == decisions(clean)


@pytest.mark.parametrize("kind", KINDS, ids=namespace_of)
async def test_it_changes_no_figure_of_another_namespace(
    url: str, clean: Readings, kind: Callable[[str], list[Series]]
) -> None:
    same(await told(url, ["ns", namespace_of(kind)], ["ns", namespace_of(kind)]), clean)
    same(await told(url, ["ns", namespace_of(kind)], ["ns"]), clean)


async def test_all_of_them_together_change_none(url: str, clean: Readings) -> None:
    same(await told(url, [], ["ns", *map(namespace_of, KINDS)]), clean)


async def test_a_namespace_of_too_many_series_is_found_and_asked_about_alone(url: str, clean: Readings) -> None:
    innocent = ["ns", "ns2", "ns3", "ns4"]
    asked = poller(url, [*innocent, "many"], [*innocent, "many"], largest=20_000)
    blind = 0
    for _ in range(4):
        await asked.tick()
        blind += any(asked.readings(Key(name, "c")).failure != "" for name in innocent)  # type: ignore[union-attr]
    assert blind <= 3, "five namespaces are three halvings"
    for name in innocent:
        found = asked.readings(Key(name, "c"))
        assert found is not None
        same(found, clean)
    alone = asked.readings(Key("many", "c"))
    assert alone is not None
    assert "the answer has more than 20000 bytes" in alone.failure
    assert TierSignal.TRIED in alone.unanswered
    assert alone.pods == {POD: alone.pods[POD]}, "what is answered about it is known"


async def test_a_stranger_of_too_many_series_without_a_cluster_is_left_out(url: str, clean: Readings) -> None:
    asked = poller(url, ["ns", "many"], ["ns"], largest=20_000)
    for _ in range(2):
        await asked.tick()
    found = asked.readings(VICTIM)
    assert found is not None
    same(found, clean)


async def test_figures_that_were_known_hold_until_the_one_at_fault_is_found(url: str, clean: Readings) -> None:
    innocent = ["ns", "ns2", "ns3", "ns4"]
    known = {Key(name, "c"): SPEC for name in innocent}
    source = Prometheus(url, SystemClock().utc, largest=20_000)
    asked = Poller(source, Polling(), lambda: known, lambda *_: False, lambda _: None, Metrics(), SystemClock())
    asked._polling = replace(asked._polling, namespaces=tuple(innocent))
    await asked.tick()
    known[Key("many", "c")] = SPEC
    asked._polling = replace(asked._polling, namespaces=(*innocent, "many"))
    for _ in range(5):
        await asked.tick()
        found = asked.readings(VICTIM)
        assert found is not None
        same(found, clean)
